/** Names of others, and lists of them, in sentences. */

/** A name as text: what is not seen, or turns the direction of writing, as its number; cut where it is long. */
export function shown(text) {
  const visible = String(text).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
  return visible.length > 80 ? `${visible.slice(0, 79)}…` : visible;
}

export const listed = (names, most = 8) =>
  names.length > most
    ? `${names.slice(0, most).join(', ')} and ${names.length - most} more`
    : names.join(', ');

export const quoted = (names) => listed([...names].map((name) => `'${shown(name)}'`));

/** The order of Python's `sorted`: by code points. */
export function byCodePoint(one, other) {
  const [a, b] = [[...one], [...other]];
  const at = a.findIndex((character, i) => character !== b[i]);
  if (at < 0) return a.length - b.length;
  return at < b.length ? a[at].codePointAt(0) - b[at].codePointAt(0) : 1;
}
