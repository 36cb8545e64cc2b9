import { Type } from 'typebox';
import type { Who } from '../../../core/projects/memberships.ts';
import type { Group } from '../../../core/projects/organization-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toMember, toPending } from './manage-shape.ts';

export const GroupParams = Type.Object({ id: Type.Integer({ maximum: 2 ** 31 - 1 }) });
export const MemberParams = Type.Object({ id: Type.Integer({ maximum: 2 ** 31 - 1 }), who: Type.String() });
const PendingParams = Type.Object({
  id: Type.Integer({ maximum: 2 ** 31 - 1 }),
  pendingId: Type.Integer({ maximum: 2 ** 31 - 1 }),
});

const Terms = {
  role: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String({ maxLength: 1000 })),
  expirationSeconds: Type.Optional(Type.Integer({ maximum: 3_200_000_000 })),
};
const TermsBody = Type.Object(Terms);
const InvitationBody = Type.Object({ email: Type.String(), ...Terms });
const NewMemberBody = Type.Object({
  email: Type.Optional(Type.String()),
  id: Type.Optional(Type.Integer()),
  ...Terms,
});

/** A number, else an email address. */
export const whoOf = (text: string): Who => (/^\d{1,9}$/.test(text) ? Number(text) : text);

const termsOf = ({
  role,
  reason,
  expirationSeconds,
}: {
  role?: string;
  reason?: string;
  expirationSeconds?: number;
}) => ({
  role,
  reason,
  expiresInSeconds: expirationSeconds,
});

/** Members and invitations are the same three times over. */
export function registerGroupRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  for (const scope of ['maintainer', 'organization', 'project'] as const) {
    registerMembers(app, deps, scope);
    registerInvitations(app, deps, scope);
    registerOwnInvitations(app, deps, scope);
  }
  registerJoinRequests(app, deps);
}

function registerMembers(app: KeboolaApp, deps: KeboolaDeps, scope: Group['scope']): void {
  const { memberships } = deps.core;
  const root = `/${scope}s/:id`;
  app.get(`${root}/users`, { schema: { summary: `Members of the ${scope}`, params: GroupParams } }, async (request) => {
    const members = await memberships.list(request.manager, { scope, id: request.params.id });
    return members.map((member) => toMember(member, scope === 'project'));
  });
  app.post(
    `${root}/users`,
    {
      schema: {
        summary: `Add a member to the ${scope}; an unknown address gets an account`,
        params: GroupParams,
        body: NewMemberBody,
      },
    },
    async (request, reply) => {
      const { email, id: personId } = request.body;
      const who = personId ?? email ?? '';
      await memberships.add(request.manager, { scope, id: request.params.id }, who, termsOf(request.body));
      return reply.code(204).send();
    },
  );
  app.delete(
    `${root}/users/:who`,
    { schema: { summary: `Remove a member, or leave the ${scope}`, params: MemberParams } },
    async (request, reply) => {
      const { id, who } = request.params;
      await memberships.remove(request.manager, { scope, id }, whoOf(who));
      return reply.code(204).send();
    },
  );
  app.post(
    `${root}/join-${scope}`,
    { schema: { summary: `Become a member of the ${scope} oneself`, params: GroupParams, body: TermsBody } },
    async (request, reply) => {
      await memberships.join(request.manager, { scope, id: request.params.id }, termsOf(request.body));
      return reply.code(204).send();
    },
  );
}

function registerInvitations(app: KeboolaApp, deps: KeboolaDeps, scope: Group['scope']): void {
  const { memberships } = deps.core;
  const root = `/${scope}s/:id/invitations`;
  app.get(root, { schema: { summary: `Open invitations to the ${scope}`, params: GroupParams } }, async (request) => {
    const found = await memberships.pending(request.manager, 'invitation', { scope, id: request.params.id });
    return found.map((one) => toPending(one));
  });
  app.post(
    root,
    {
      schema: {
        summary: `Invite somebody to the ${scope}; no mail is sent`,
        params: GroupParams,
        body: InvitationBody,
      },
    },
    async (request, reply) => {
      const group = { scope, id: request.params.id };
      const made = await memberships.invite(request.manager, group, request.body.email, termsOf(request.body));
      reply.code(201);
      return toPending(made);
    },
  );
  app.get(
    `${root}/:pendingId`,
    { schema: { summary: 'One invitation', params: PendingParams } },
    async ({ manager, params: { id, pendingId } }) =>
      toPending(await memberships.getPending(manager, 'invitation', { scope, id }, pendingId)),
  );
  app.delete(
    `${root}/:pendingId`,
    { schema: { summary: 'Take an invitation back', params: PendingParams } },
    async ({ manager, params: { id, pendingId } }, reply) => {
      await memberships.cancel(manager, 'invitation', { scope, id }, pendingId);
      return reply.code(204).send();
    },
  );
}

function registerOwnInvitations(app: KeboolaApp, deps: KeboolaDeps, scope: Group['scope']): void {
  const { memberships } = deps.core;
  const root = `/current-user/${scope}s-invitations`;
  app.get(root, { schema: { summary: 'Invitations for the caller' } }, async ({ manager }) =>
    (await memberships.mine(manager, 'invitation', scope)).map((one) => toPending(one, true)),
  );
  app.get(`${root}/:id`, { schema: { summary: 'One of them', params: GroupParams } }, async ({ manager, params }) =>
    toPending(await memberships.getMine(manager, 'invitation', scope, params.id), true),
  );
  app.put(
    `${root}/:id`,
    { schema: { summary: 'Accept it', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await memberships.accept(manager, scope, params.id);
      return reply.code(202).send();
    },
  );
  app.delete(
    `${root}/:id`,
    { schema: { summary: 'Decline it', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await memberships.withdraw(manager, 'invitation', scope, params.id);
      return reply.code(204).send();
    },
  );
}

function registerJoinRequests(app: KeboolaApp, deps: KeboolaDeps): void {
  const { memberships } = deps.core;
  const scope = 'project';
  app.post(
    '/projects/:id/request-access',
    { schema: { summary: 'Ask to be let into a project', params: GroupParams, body: TermsBody } },
    async ({ manager, params, body }, reply) => {
      const made = await memberships.requestAccess(manager, params.id, termsOf(body));
      reply.code(201);
      return toPending(made, true);
    },
  );
  app.get(
    '/projects/:id/join-requests',
    { schema: { summary: 'Who asks to be let in', params: GroupParams } },
    async ({ manager, params: { id } }) =>
      (await memberships.pending(manager, 'request', { scope, id })).map((one) => toPending(one)),
  );
  app.get(
    '/projects/:id/join-requests/:pendingId',
    { schema: { summary: 'One request', params: PendingParams } },
    async ({ manager, params: { id, pendingId } }) =>
      toPending(await memberships.getPending(manager, 'request', { scope, id }, pendingId)),
  );
  app.put(
    '/projects/:id/join-requests/:pendingId',
    { schema: { summary: 'Let somebody in', params: PendingParams } },
    async ({ manager, params: { id, pendingId } }, reply) => {
      await memberships.approve(manager, id, pendingId);
      return reply.code(202).send();
    },
  );
  app.delete(
    '/projects/:id/join-requests/:pendingId',
    { schema: { summary: 'Turn a request down', params: PendingParams } },
    async ({ manager, params: { id, pendingId } }, reply) => {
      await memberships.cancel(manager, 'request', { scope, id }, pendingId);
      return reply.code(204).send();
    },
  );
  app.get(
    '/current-user/projects-join-requests',
    { schema: { summary: 'Requests of the caller' } },
    async ({ manager }) => (await memberships.mine(manager, 'request', scope)).map((one) => toPending(one, true)),
  );
  app.get(
    '/current-user/projects-join-requests/:id',
    { schema: { summary: 'One of them', params: GroupParams } },
    async ({ manager, params }) => toPending(await memberships.getMine(manager, 'request', scope, params.id), true),
  );
  app.delete(
    '/current-user/projects-join-requests/:id',
    { schema: { summary: 'Take it back', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await memberships.withdraw(manager, 'request', scope, params.id);
      return reply.code(204).send();
    },
  );
}
