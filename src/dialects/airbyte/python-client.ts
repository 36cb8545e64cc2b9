import type { FastifyRequest } from 'fastify';
import type { ConnectorConfiguration } from '../../core/components/connector-configuration.ts';
import type { ConnectorRole } from '../../core/components/connector-model.ts';
import type { Connector } from '../../core/components/connectors.ts';

/** Types of destinations that version 1 of the official Python client knows. */
const DESTINATIONS = new Set(
  (
    'astra aws-datalake azure-blob-storage bigquery clickhouse convex customer-io databricks deepset dev-null duckdb ' +
    'dynamodb elasticsearch firebolt firestore gcs google-sheets hubspot milvus mongodb motherduck mssql mssql-v2 mysql ' +
    'oracle pgvector pinecone postgres pubsub qdrant redis redshift s3 s3-data-lake salesforce sftp-json snowflake ' +
    'snowflake-cortex surrealdb teradata timeplus typesense vectara weaviate yellowbrick'
  ).split(' '),
);

/**
 * The configuration as the client of the request can read it. Version 1 of the Python client reads the type of a
 * connector out of the configuration, where other clients must not find it, and refuses a whole list over one
 * destination whose type it does not know: those it gets in the shape of the type that asks for the least, with what
 * they really are in `destinationType` and `definitionId` beside it.
 */
export function readableConfiguration(
  request: FastifyRequest,
  role: ConnectorRole,
  { configuration, definition: { connector } }: Connector,
): ConnectorConfiguration {
  if (!/^speakeasy-sdk\/python 1\./.test(request.headers['user-agent'] ?? '')) return configuration;
  if (role === 'source') return connector.isKnown ? { ...configuration, sourceType: connector.slug } : configuration;
  if (DESTINATIONS.has(connector.slug)) return { ...configuration, destinationType: connector.slug };
  return { destination_path: connector.slug, ...configuration, destinationType: 'duckdb' };
}
