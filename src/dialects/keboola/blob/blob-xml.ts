import type { BlockReference, BlockSize } from '../../../core/files/blobs.ts';
import { BlobRequestError } from './blob-request.ts';

const DECLARATION = '<?xml version="1.0" encoding="utf-8"?>';

const SOURCES = { Uncommitted: 'uncommitted', Committed: 'committed', Latest: 'latest' } as const;

export type ListedBlob = {
  name: string;
  sizeBytes: number;
  contentType: string | undefined;
  contentDisposition: string | undefined;
  contentEncoding: string | undefined;
  etag: string;
  modifiedAt: Date;
};

export function errorXml(code: string, message: string, requestId: string): string {
  const text = `${message}\nRequestId:${requestId}\nTime:${new Date().toISOString()}`;
  return `${DECLARATION}<Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(text)}</Message></Error>`;
}

/** The entries of a block list in order. It has no attributes, no namespaces and no nesting, so no parser is needed. */
export function parseBlockList(xml: string): BlockReference[] {
  const body = /^\uFEFF?\s*(?:<\?xml[^>]*\?>)?\s*<BlockList\s*(?:\/>|>([\s\S]*)<\/BlockList>)\s*$/.exec(xml);
  if (!body) throw invalidXml();
  const references: BlockReference[] = [];
  const rest = (body[1] ?? '').replace(
    /<(Uncommitted|Committed|Latest)>\s*([^<\s]*)\s*<\/\1>/g,
    (_all, source: keyof typeof SOURCES, id: string) => {
      references.push({ id, from: SOURCES[source] });
      return '';
    },
  );
  if (rest.trim() !== '') throw invalidXml();
  return references;
}

export function blockListXml(blocks: { committed?: BlockSize[]; uncommitted?: BlockSize[] }): string {
  const section = (tag: string, list: BlockSize[] | undefined) =>
    list === undefined ? '' : `<${tag}>${list.map(blockXml).join('')}</${tag}>`;
  const sections = section('CommittedBlocks', blocks.committed) + section('UncommittedBlocks', blocks.uncommitted);
  return `${DECLARATION}<BlockList>${sections}</BlockList>`;
}

function blockXml({ id, sizeBytes }: BlockSize): string {
  return `<Block><Name>${escapeXml(id)}</Name><Size>${sizeBytes}</Size></Block>`;
}

export function listXml(listing: {
  endpoint: string;
  container: string;
  prefix: string;
  marker: string;
  maxResults: number;
  blobs: ListedBlob[];
  nextMarker: string;
}): string {
  const blobs = listing.blobs.map(
    (blob) =>
      `<Blob><Name>${escapeXml(blob.name)}</Name><Properties>` +
      `<Last-Modified>${blob.modifiedAt.toUTCString()}</Last-Modified><Etag>${escapeXml(blob.etag)}</Etag>` +
      `<Content-Length>${blob.sizeBytes}</Content-Length>` +
      `<Content-Type>${escapeXml(blob.contentType ?? 'application/octet-stream')}</Content-Type>` +
      `<Content-Encoding>${escapeXml(blob.contentEncoding ?? '')}</Content-Encoding>` +
      `<Content-Disposition>${escapeXml(blob.contentDisposition ?? '')}</Content-Disposition>` +
      '<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>' +
      '<ServerEncrypted>true</ServerEncrypted></Properties></Blob>',
  );
  return (
    `${DECLARATION}<EnumerationResults ServiceEndpoint="${escapeXml(listing.endpoint)}/" ` +
    `ContainerName="${escapeXml(listing.container)}"><Prefix>${escapeXml(listing.prefix)}</Prefix>` +
    `<Marker>${escapeXml(listing.marker)}</Marker><MaxResults>${listing.maxResults}</MaxResults>` +
    `<Blobs>${blobs.join('')}</Blobs><NextMarker>${escapeXml(listing.nextMarker)}</NextMarker></EnumerationResults>`
  );
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char] ?? char);
}

function invalidXml(): BlobRequestError {
  return new BlobRequestError(400, 'InvalidXmlDocument', 'The specified XML is not a valid block list.');
}
