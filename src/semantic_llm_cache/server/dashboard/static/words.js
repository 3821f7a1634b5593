// Which words differ between two texts.

const MOST = 600;

const split = (text) => text.match(/[\p{L}\p{N}]+(?:['’][\p{L}]+)*|\s+|[^\p{L}\p{N}\s]/gu) || [];

/** Return the lengths of common subsequences of a[i:] and b[j:]. */
function lengths(a, b) {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      rows[i][j] = a[i] === b[j] ? rows[i + 1][j + 1] + 1 : Math.max(rows[i + 1][j], rows[i][j + 1]);
    }
  }
  return rows;
}

/** Return for each text its pieces, as [text, whether it differs]; of long texts, all between what both share. */
export function differences(left, right) {
  const a = split(left);
  const b = split(right);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const same = [new Set(), new Set()];
  if (middle[0].length <= MOST && middle[1].length <= MOST) {
    const rows = lengths(...middle);
    for (let i = 0, j = 0; i < middle[0].length && j < middle[1].length; ) {
      if (middle[0][i] === middle[1][j]) {
        same[0].add(start + i++);
        same[1].add(start + j++);
      } else if (rows[i + 1][j] >= rows[i][j + 1]) i++;
      else j++;
    }
  }
  return [a, b].map((words, side) =>
    joined(words.map((word, i) => [word, i >= start && i < words.length - end && !same[side].has(i)])));
}

/** Join neighbours of one kind; a space between two differing words differs too, one beside a shared word does not. */
function joined(pieces) {
  const blank = (i) => /^\s+$/.test(pieces[i][0]);
  const differs = pieces.map(([, yes], i) =>
    blank(i) ? Boolean(pieces[i - 1]?.[1] && pieces[i + 1]?.[1]) : yes);
  const found = [];
  pieces.forEach(([text], i) => {
    const last = found.at(-1);
    if (last && last[1] === differs[i]) last[0] += text;
    else found.push([text, differs[i]]);
  });
  return found;
}
