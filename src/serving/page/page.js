const byId = (id) => document.getElementById(id);
const PIXELS_PER_SECOND = 110;
const ROWS = 3; // words above the picture are staggered over so many lines
const TILE = 1000; // columns of a canvas: browsers bound its width, and a recording may be long
let heard = null; // the last transcript with its files
let columnsDrawn = 0;
let turn = 0; // which recording is shown: what comes of an earlier one is not
let abandon = () => {}; // ends the recording that is being made

// ---- what is shown

function say(message, isError = false) {
  byId("status").textContent = message;
  byId("status").classList.toggle("error", isError);
}

function colour(confidence) {
  return `hsl(${Math.round(120 * confidence)} 70% 45%)`; // red to green
}

function clear() {
  abandon();
  turn += 1;
  heard = null;
  byId("result").hidden = false;
  byId("downloads").hidden = true;
  byId("player").hidden = true;
  byId("text").replaceChildren();
  byId("marks").replaceChildren();
  byId("picture").replaceChildren();
  columnsDrawn = 0;
  byId("stage").style.width = "100%";
}

function label(word) {
  const span = document.createElement("span");
  span.textContent = word.word;
  const sure = Math.round(100 * word.confidence);
  span.title = `${word.start.toFixed(2)} to ${word.end.toFixed(2)} s, confidence ${sure} %`;
  span.style.borderColor = colour(word.confidence);
  span.addEventListener("click", () => {
    const player = byId("player");
    if (player.hidden) return;
    player.currentTime = word.start;
    player.play();
  });
  return span;
}

function mark(word, index) {
  const span = label(word);
  span.style.left = `${word.start * PIXELS_PER_SECOND}px`;
  span.style.top = `${0.2 + 1.4 * (index % ROWS)}rem`;
  return span;
}

// Words that follow the first `settled` of those that are there.
function showWords(words, settled = 0) {
  for (const [id, make] of [["text", label], ["marks", mark]]) {
    const box = byId(id);
    while (box.childElementCount > settled) box.lastElementChild.remove();
    box.append(...words.map((word, index) => make(word, settled + index)));
  }
}

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

// The columns of a spectrogram, put to the right of those that are there.
function draw(columns) {
  if (!columns || !columns.width) return;
  const bytes = Uint8Array.from(atob(columns.data), (letter) => letter.charCodeAt(0));
  const pixels = columns.seconds_per_column * PIXELS_PER_SECOND;
  for (let first = 0; first < columns.width;) {
    const place = columnsDrawn % TILE;
    if (!place) {
      const tile = document.createElement("canvas");
      [tile.width, tile.height] = [TILE, columns.height];
      tile.style.width = `${TILE * pixels}px`;
      byId("picture").append(tile);
    }
    const count = Math.min(TILE - place, columns.width - first);
    const context = byId("picture").lastElementChild.getContext("2d");
    context.putImageData(image(bytes, columns.height, first, count), place, 0);
    first += count;
    columnsDrawn += count;
  }
  byId("picture").style.width = `${columnsDrawn * pixels}px`;
  byId("stage").style.width = `max(100%, ${columnsDrawn * pixels}px)`;
}

function play(blob) {
  const player = byId("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(blob);
  player.hidden = false;
}

byId("player").addEventListener("timeupdate", () => {
  const cursor = byId("cursor");
  cursor.hidden = false;
  cursor.style.left = `${byId("player").currentTime * PIXELS_PER_SECOND}px`;
});

function finish(transcript) {
  heard = transcript;
  showWords(transcript.words);
  byId("downloads").hidden = false;
  const sure = Math.round(100 * transcript.confidence);
  const count = transcript.words.length;
  say(count ? `${count} words in ${transcript.duration.toFixed(1)} s, confidence ${sure} %`
    : `nothing was heard in ${transcript.duration.toFixed(1)} s`);
}

for (const button of document.querySelectorAll("#downloads button")) {
  button.addEventListener("click", () => {
    const format = button.dataset.format;
    const { files, spectrogram, ...rest } = heard;
    const content = format === "json" ? JSON.stringify(rest, null, 1) : files[format];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
    link.download = `${heard.id}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// ---- a file

async function send(file) {
  clear();
  const mine = turn;
  play(file);
  say(`recognising ${file.name} …`);
  const form = new FormData();
  form.append("file", file);
  try {
    const answer = await fetch("/transcribe?files=true&spectrogram=true", { method: "POST", body: form });
    const content = await answer.json();
    if (mine !== turn) return;
    if (!answer.ok) {
      const detail = typeof content.detail === "string" ? content.detail : "the request was not understood";
      return say(detail, true);
    }
    draw(content.spectrogram);
    finish(content);
  } catch (problem) {
    if (mine === turn) say(`the server could not be reached (${problem.message})`, true);
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) send(event.target.files[0]);
  event.target.value = "";
});

const drop = byId("drop");
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  drop.addEventListener(kind, () => drop.classList.remove("over"));
}
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});

// ---- the microphone

function wave(parts, rate) {
  const count = parts.reduce((sum, part) => sum + part.length, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (place, letters) => [...letters].forEach((c, i) => header.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF"); header.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, rate, true); header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  text(36, "data"); header.setUint32(40, 2 * count, true);
  return new Blob([header, ...parts], { type: "audio/wav" });
}

async function record() {
  clear();
  const mine = turn;
  let microphone;
  try {
    // as it is: what a browser makes of it for calls is not what the model was trained on
    const raw = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    microphone = await navigator.mediaDevices.getUserMedia({ audio: raw });
  } catch (problem) {
    return say(`there is no microphone to record with (${problem.message})`, true);
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule("/static/recorder.js");
  const release = () => {
    microphone.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
    byId("stop").hidden = true;
    byId("record").hidden = false;
    abandon = () => {};
  };
  if (mine !== turn) return release();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/stream?rate=${context.sampleRate}`);
  const parts = [];
  const node = new AudioWorkletNode(context, "recorder");
  let ended = false;

  abandon = () => {
    ended = true;
    release();
    socket.close();
  };
  const end = () => {
    if (ended) return;
    ended = true;
    release();
    say("recognising the whole …");
    if (socket.readyState === WebSocket.OPEN) socket.send("end");
  };
  node.port.onmessage = ({ data }) => {
    parts.push(data);
    if (!ended && socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  socket.onopen = () => {
    context.createMediaStreamSource(microphone).connect(node);
    byId("record").hidden = true;
    byId("stop").hidden = false;
    byId("stop").onclick = end;
    say("listening …");
  };
  socket.onmessage = ({ data }) => {
    if (mine !== turn) return;
    const message = JSON.parse(data);
    if (message.type === "error") {
      ended = true;
      release();
      return say(message.error, true);
    }
    draw(message.spectrogram);
    if (message.type === "partial") {
      showWords(message.words, message.settled);
      byId("scroll").scrollLeft = byId("scroll").scrollWidth;
    } else {
      play(wave(parts, context.sampleRate));
      finish({ ...message, id: "recording" });
    }
  };
  socket.onclose = () => {
    if (mine === turn && !heard && !byId("status").classList.contains("error")) {
      release();
      say("the server closed the connection", true);
    }
  };
}

byId("record").addEventListener("click", async () => {
  byId("record").disabled = true; // it takes a moment to begin
  await record().finally(() => { byId("record").disabled = false; });
});

// ---- what is served

const health = await (await fetch("/health")).json();
byId("about").textContent = `${health.model}, ${health.decoder}; recordings of up to `
  + `${Math.round(health.max_seconds / 60)} minutes and ${health.max_upload_mb} MB`;
