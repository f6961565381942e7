const TILE = 1000; // columns of a canvas: browsers bound its width, and a recording may be long

function image(bytes, height, first, count) {
  const found = new ImageData(count, height);
  for (let x = 0; x < count; x++) {
    for (let y = 0; y < height; y++) {
      const level = bytes[(first + x) * height + (height - 1 - y)] / 255;
      const value = Math.max(0, Math.min(1, (level - 0.2) / 0.85));
      const place = 4 * (y * count + x);
      found.data[place] = 255 * Math.min(1, 1.8 * Math.max(0, value - 0.4)); // blue to yellow
      found.data[place + 1] = 255 * Math.min(1, 1.3 * Math.max(0, value - 0.2));
      found.data[place + 2] = 255 * (0.12 + 0.9 * value * (1.1 - value) * 1.6);
      found.data[place + 3] = 255;
    }
  }
  return found;
}

// The columns of a spectrogram, put to the right of those in `box`; returns its width in pixels.
export function draw(box, columns, pixelsPerSecond) {
  if (!columns || !columns.width) return parseFloat(box.style.width) || 0;
  let drawn = box.childElementCount ? Number(box.dataset.columns) : 0;
  const bytes = Uint8Array.from(atob(columns.data), (letter) => letter.charCodeAt(0));
  const pixels = columns.seconds_per_column * pixelsPerSecond;
  for (let first = 0; first < columns.width;) {
    const place = drawn % TILE;
    if (!place) {
      const tile = document.createElement("canvas");
      [tile.width, tile.height] = [TILE, columns.height];
      tile.style.width = `${TILE * pixels}px`;
      box.append(tile);
    }
    const count = Math.min(TILE - place, columns.width - first);
    const context = box.lastElementChild.getContext("2d");
    context.putImageData(image(bytes, columns.height, first, count), place, 0);
    first += count;
    drawn += count;
  }
  box.dataset.columns = drawn;
  box.style.width = `${drawn * pixels}px`;
  return drawn * pixels;
}
