/**
 * The real clients that drive a server here, pinned: a new version is a change of this file, seen in review.
 * The newest `@azure/storage-blob` needs Node 22, so it is the last one for Node 20.
 */
export const PYTHON_STORAGE_CLIENT = ['kbcstorage==0.12.0', 'azure-storage-blob==12.31.1'];
export const NODE_BLOB_CLIENT = ['@azure/storage-blob@12.31.0'];
export const PYTHON_AIRBYTE_CLIENT = ['airbyte-api==1.0.1'];
/** A connector of other makers, whose program runs here. */
export const PYTHON_CONNECTOR = 'airbyte-source-faker==7.2.1';
export const SYNCANO_CLIENT = ['syncano@1.0.30'];
