import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { KeysetPage } from '../../lib/filter.ts';
import type { Json } from '../../lib/json.ts';
import type { Configuration } from '../components/configuration-model.ts';
import type { Configurations } from '../components/configurations.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import { assertAllowed, canRunComponent } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Projects } from '../projects/projects.ts';
import { scriptErrors } from './script-errors.ts';
import {
  ENDPOINT_COMPONENT,
  type NewScriptEndpoint,
  SCRIPT_COMPONENT,
  type ScriptCaller,
  type ScriptEndpoint,
  type ScriptEndpointPatch,
  type ScriptRunInput,
} from './script-model.ts';
import type { Scripts } from './scripts.ts';

/** What a call of an endpoint brings. */
export type EndpointCall = { args: Json; request: Json; origin: Partial<Actor['origin']> };

const address = (name: string) => ({ componentId: ENDPOINT_COMPONENT, configurationId: name });

/**
 * Scripts that answer HTTP calls. Whoever has a key of the project may call one, and everybody one that is public; it
 * runs in the name of who made or last changed it, like a schedule: with that token it stops.
 */
export class ScriptEndpoints {
  readonly #parts: { configurations: Configurations; identity: Identity; projects: Projects; scripts: Scripts };

  constructor(parts: { configurations: Configurations; identity: Identity; projects: Projects; scripts: Scripts }) {
    this.#parts = parts;
  }

  /** By name. */
  async list(actor: Actor, { limit, ...keyset }: KeysetPage<string>): Promise<ScriptEndpoint[]> {
    const found = await this.#parts.configurations.page(actor, {
      componentIds: [ENDPOINT_COMPONENT],
      limit,
      keyset: { of: 'text', ...keyset },
    });
    return found.map(toEndpoint);
  }

  /** Throws script.endpoint-not-found. */
  async get(actor: Actor, name: string): Promise<ScriptEndpoint> {
    return toEndpoint(await this.#parts.configurations.get(actor, address(name)).catch(asNotFound));
  }

  async create(actor: Actor, input: NewScriptEndpoint): Promise<ScriptEndpoint> {
    const { name, scriptId, description = '', isPublic = false } = input;
    await this.#assertScript(actor, scriptId);
    const created = await this.#parts.configurations
      .create(actor, ENDPOINT_COMPONENT, {
        id: name,
        name,
        description,
        configuration: toText({ scriptId, isPublic, publicLink: newLink() }),
      })
      .catch((error: unknown) => {
        throw hasCode(error, 'configuration.already-exists') ? scriptErrors.endpointTaken() : error;
      });
    return toEndpoint(created);
  }

  /** Members that are left out stay. */
  async update(actor: Actor, name: string, patch: ScriptEndpointPatch): Promise<ScriptEndpoint> {
    if (patch.scriptId !== undefined) await this.#assertScript(actor, patch.scriptId);
    return this.#change(actor, name, (current) => ({ ...current, ...defined(patch) }), patch.description);
  }

  /** From now on the old public address does not answer. */
  async resetLink(actor: Actor, name: string): Promise<ScriptEndpoint> {
    return this.#change(actor, name, (current) => ({ ...current, publicLink: newLink() }));
  }

  async delete(actor: Actor, name: string): Promise<void> {
    await this.get(actor, name);
    await this.#parts.configurations.delete(actor, address(name)).catch(asNotFound);
  }

  /** By somebody with a key of the project: a person who may run scripts, or any program. */
  async run(actor: Actor, name: string, call: EndpointCall): Promise<Job> {
    assertAllowed(actor.token.objects !== undefined || canRunComponent(actor, SCRIPT_COMPONENT));
    const found = await this.#parts.configurations.findOwn(actor.projectId, address(name));
    if (!found) throw scriptErrors.endpointNotFound();
    const { endUser } = actor;
    const user = endUser && { user: { id: endUser.id, username: endUser.username } };
    return this.#start(actor.projectId, found, call, user);
  }

  /** By anybody. Whatever is wrong with the address, the answer is the same. */
  async runPublic(place: { project: string; name: string; link: string }, call: EndpointCall): Promise<Job> {
    const projectId = await this.#parts.projects.findId(place.project);
    const found =
      projectId === undefined ? undefined : await this.#parts.configurations.findOwn(projectId, address(place.name));
    if (projectId === undefined || !found) throw scriptErrors.endpointNotFound();
    const { isPublic, publicLink } = toEndpoint(found);
    if (!isPublic || !isSame(publicLink, place.link)) throw scriptErrors.endpointNotFound();
    return this.#start(projectId, found, call);
  }

  async #start(
    projectId: number,
    found: Configuration,
    { args, request, origin }: EndpointCall,
    user: Pick<ScriptRunInput, 'user'> = {},
  ): Promise<Job> {
    const author = await this.#parts.identity.actorOfToken(projectId, found.versionAuthor.tokenId, { origin });
    return this.#parts.scripts.run(author, toEndpoint(found).scriptId, args, endpointCaller(found.id), {
      request,
      ...user,
    });
  }

  async #assertScript(actor: Actor, id: number): Promise<void> {
    await this.#parts.scripts.get(actor, id).catch((error: unknown) => {
      throw hasCode(error, 'script.not-found') ? scriptErrors.unknownScript(id) : error;
    });
  }

  async #change(
    actor: Actor,
    name: string,
    next: (current: ScriptEndpoint) => ScriptEndpoint,
    description?: string,
  ): Promise<ScriptEndpoint> {
    const changed = await this.#parts.configurations
      .change(actor, address(name), (current) => ({ description, configuration: toText(next(toEndpoint(current))) }))
      .catch(asNotFound);
    return toEndpoint(changed);
  }
}

export const endpointCaller = (name: string): ScriptCaller => ({ kind: 'endpoint', id: name });

const newLink = () => randomBytes(20).toString('hex');

function toEndpoint({ id, description, configuration }: Configuration): ScriptEndpoint {
  const { parameters = {} } = configuration.parse() as { parameters?: Partial<ScriptEndpoint> };
  const { scriptId, publicLink, isPublic } = parameters;
  return {
    name: id,
    description,
    scriptId: typeof scriptId === 'number' ? scriptId : 0,
    publicLink: typeof publicLink === 'string' ? publicLink : '',
    isPublic: isPublic === true && typeof publicLink === 'string' && publicLink !== '',
  };
}

function toText({ scriptId, publicLink, isPublic }: Pick<ScriptEndpoint, 'scriptId' | 'publicLink' | 'isPublic'>) {
  return JSON.stringify({ parameters: { scriptId, publicLink, isPublic } });
}

function defined({ scriptId, isPublic }: ScriptEndpointPatch): Partial<ScriptEndpoint> {
  return { ...(scriptId !== undefined && { scriptId }), ...(isPublic !== undefined && { isPublic }) };
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

const hasCode = (error: unknown, code: string) => error instanceof AppError && error.code === code;

function asNotFound(error: unknown): never {
  throw hasCode(error, 'configuration.not-found') ? scriptErrors.endpointNotFound() : error;
}
