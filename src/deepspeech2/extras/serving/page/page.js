import { draw } from "./spectrogram.js";
import { wave } from "./wave.js";

const byId = (id) => document.getElementById(id);
const PIXELS_PER_SECOND = 110;
const ROWS = 3; // words above the picture are staggered over so many lines
let heard = null; // the last transcript with its files
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

function show(columns) {
  const wide = draw(byId("picture"), columns, PIXELS_PER_SECOND);
  byId("stage").style.width = `max(100%, ${wide}px)`;
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
    show(content.spectrogram);
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
    show(message.spectrogram);
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
