const MOST = 4e6; // comparisons; longer texts are spread evenly

const plain = (word) => word.toLowerCase().replace(/[^\p{L}\p{M}\p{N}']/gu, "");

// Pairs of indices of equal words, of a longest common subsequence.
function common(left, right) {
  if (left.length * right.length > MOST) return [];
  const best = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      best[i][j] = left[i] === right[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    if (left[i] === right[j]) pairs.push([i++, j++]);
    else if (best[i + 1][j] >= best[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

// The words of a text with times: those of equal words that were heard, others evenly in between.
export function timed(text, heard, start, end) {
  const words = text.split(/\s+/).filter(Boolean).map((word) => ({ word }));
  const inside = heard.filter((each) => each.end > start && each.start < end);
  const pairs = common(words.map((each) => plain(each.word)), inside.map((each) => plain(each.word)));
  for (const [i, j] of pairs) Object.assign(words[i], { ...inside[j], word: words[i].word });
  for (let first = 0; first < words.length;) {
    if (words[first].start !== undefined) { first += 1; continue; }
    let last = first;
    while (last < words.length && words[last].start === undefined) last += 1;
    const low = first ? words[first - 1].end : start;
    const high = last < words.length ? words[last].start : end;
    for (let i = first; i < last; i++) {
      words[i].start = low + ((i - first) * (high - low)) / (last - first);
      words[i].end = low + ((i - first + 1) * (high - low)) / (last - first);
    }
    first = last;
  }
  return words;
}

// The middle of the nearest pause in a direction, or null.
export function nearest(time, by, pauses, most) {
  const middles = pauses.map(([a, b]) => (a + b) / 2).filter((each) => by * (each - time) > 0.02);
  const found = middles.sort((a, b) => Math.abs(a - time) - Math.abs(b - time))[0];
  return found !== undefined && Math.abs(found - time) <= most ? found : null;
}
