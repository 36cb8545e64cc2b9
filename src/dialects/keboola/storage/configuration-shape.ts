import type {
  Author,
  Configuration,
  ConfigurationRow,
  ConfigurationVersion,
  RowVersion,
} from '../../../core/components/configuration-model.ts';
import { formatDate } from '../scalars.ts';

type Shape = Record<string, unknown>;

export function toKeboolaConfiguration(configuration: Configuration): Shape {
  return {
    ...toBriefConfiguration(configuration),
    configuration: configuration.configuration,
    rowsSortOrder: configuration.rowsSortOrder,
    rows: configuration.rows.map((row) => toKeboolaRow(row)),
    state: configuration.state,
  };
}

/** What a list shows when no more was asked for. */
export function toBriefConfiguration(configuration: Configuration): Shape {
  return {
    id: configuration.id,
    name: configuration.name,
    description: configuration.description,
    created: formatDate(configuration.createdAt),
    creatorToken: toToken(configuration.author),
    version: configuration.version,
    changeDescription: configuration.changeDescription,
    isDisabled: configuration.isDisabled,
    isDeleted: configuration.isDeleted,
    currentVersion: {
      created: formatDate(configuration.versionCreatedAt),
      creatorToken: toToken(configuration.versionAuthor),
      changeDescription: configuration.changeDescription,
      versionIdentifier: configuration.versionIdentifier,
    },
  };
}

/** One of `GET components?include=...`: the parts that were asked for. */
export function toListedConfiguration(configuration: Configuration, include: readonly string[]): Shape {
  const hasState = include.includes('state');
  return {
    ...toBriefConfiguration(configuration),
    ...(include.includes('configuration') && {
      configuration: configuration.configuration,
      rowsSortOrder: configuration.rowsSortOrder,
    }),
    ...(include.includes('rows') && {
      rows: configuration.rows.map((row) => {
        const { state, ...rest } = toKeboolaRow(row);
        return hasState ? { ...rest, state } : rest;
      }),
    }),
    ...(hasState && { state: configuration.state }),
  };
}

export function toKeboolaRow(row: ConfigurationRow): Shape {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    configuration: row.configuration,
    isDisabled: row.isDisabled,
    version: row.version,
    created: formatDate(row.createdAt),
    creatorToken: toToken(row.author),
    changeDescription: row.changeDescription,
    versionIdentifier: row.versionIdentifier,
    state: row.state,
  };
}

export function toConfigurationVersion(version: ConfigurationVersion, include: readonly string[]): Shape {
  return {
    version: version.version,
    created: formatDate(version.versionCreatedAt),
    creatorToken: toToken(version.versionAuthor),
    changeDescription: version.changeDescription,
    isDeleted: version.isDeleted,
    versionIdentifier: version.versionIdentifier,
    name: version.name,
    description: version.description,
    ...(include.includes('configuration') && { configuration: version.configuration }),
  };
}

/** A configuration as it was: with its rows, without states, which have no versions. */
export function toPastConfiguration(configuration: Configuration): Shape {
  const { state, currentVersion, ...past } = toKeboolaConfiguration(configuration);
  return {
    ...past,
    created: formatDate(configuration.versionCreatedAt),
    creatorToken: toToken(configuration.versionAuthor),
    versionIdentifier: configuration.versionIdentifier,
    rows: configuration.rows.map((row) => {
      const { state: _, ...rest } = toKeboolaRow(row);
      return rest;
    }),
  };
}

export function toRowVersion(version: RowVersion, include: readonly string[] = ['configuration']): Shape {
  return {
    version: version.version,
    created: formatDate(version.versionCreatedAt),
    creatorToken: toToken(version.versionAuthor),
    changeDescription: version.changeDescription,
    versionIdentifier: version.versionIdentifier,
    name: version.name,
    description: version.description,
    isDisabled: version.isDisabled,
    ...(include.includes('configuration') && { configuration: version.configuration }),
  };
}

/** A row as it was in one version. */
export function toPastRow(version: RowVersion): Shape {
  return { id: version.rowId, ...toRowVersion(version) };
}

function toToken(author: Author): Shape {
  return { id: author.tokenId, description: author.description };
}
