const HIDDEN = '[hidden]';

/**
 * A function that takes the given secrets out of a text, in the three shapes in which they leak: as they are, in
 * base64, and JSON-encoded (escaped quotes, newlines and characters beyond ASCII).
 */
export function createMask(secrets: Iterable<string>): (text: string) => string {
  const shapes = new Set<string>();
  for (const secret of secrets) {
    shapes.add(secret);
    shapes.add(Buffer.from(secret).toString('base64'));
    const json = JSON.stringify(secret).slice(1, -1);
    shapes.add(json);
    // PHP and Python encode everything beyond ASCII, and PHP the slash too.
    const ascii = json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
    shapes.add(ascii);
    shapes.add(ascii.replaceAll('/', '\\/'));
  }
  // Replacing the empty text would put the mark between all letters.
  shapes.delete('');
  // Longest first: a secret that contains another must not leave its rest behind.
  const ordered = [...shapes].sort((a, b) => b.length - a.length);
  if (ordered.length === 0) return (text) => text;
  const pattern = new RegExp(ordered.map((shape) => shape.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
  return (text) => text.replace(pattern, HIDDEN);
}
