import { draw } from "/shared/spectrogram.js";
import { nearest, timed } from "./words.js";
import { Outbox } from "./outbox.js";

const byId = (id) => document.getElementById(id);
const [player, box] = [byId("player"), byId("written")];
const PIXELS_PER_SECOND = 110;
const IDLE = 1500; // ms without typing after which what is typed is saved
const LISTED = 4; // utterances above and below the current one
const LEAST = 0.05; // s, of a nudge without a pause, and of an utterance
const SNAP = 0.5; // s, how far a pause may be

let rows = [];
let at = 0; // index of the current one
let base = null; // the revision that its text was taken from
let seen = null; // what was heard in it
let words = []; // of the text in the box, with times
let word = 0; // index of the current one
let looping = false;
let count = -1; // of changes that the rows have
let folder = "";
let who = "";
let idle = 0;
const done = []; // revisions made here, for undo

const current = () => rows[at];
const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// ---- the server

const outbox = new Outbox({
  answered({ kind, body }, answer) {
    if (kind === "change" && !answer.done) {
      say(`${body.utterance} was changed by somebody else: press c to see both`, true);
      // what was typed since becomes a conflict as well, then the box shows what is in effect
      if (current()?.utterance === body.utterance && dirty(current())) return keep();
      box.blur();
    }
    take(answer);
    if (kind === "undo") {
      if (!answer.utterance) return say("there is nothing to undo");
      if (!answer.done) say(`${answer.utterance} was changed by somebody else since`, true);
      const index = rows.findIndex((row) => row.utterance === answer.utterance);
      if (index >= 0) go(index, { save: false });
    }
  },
  async refused({ body }, detail) {
    if (done.includes(body.revision)) done.splice(done.indexOf(body.revision), 1);
    count = -1;
    await load();
    const index = rows.findIndex((row) => row.utterance === body.utterance);
    if (index >= 0 && body.text !== undefined) {
      await go(index, { save: index !== at, sound: false });
      write(body.text); // as what is not accepted yet
      keep();
      box.focus();
    }
    say(`${body.utterance ?? "undo"}: ${detail}`, true);
  },
  changed(waiting, away) {
    byId("saved").classList.toggle("away", Boolean(away));
    byId("saved").textContent = away ? `${away}: ${waiting} ${waiting === 1 ? "change is" : "changes are"} kept in this browser and sent later`
      : waiting ? "saving …" : "saved";
  },
});

// Take over the rows of an answer: all, or one.
function take(answer) {
  if (outbox.waiting) return; // newer ones are on their way
  const before = current();
  const typed = before && dirty(before);
  if (!answer.rows && answer.count !== count + 1) {
    count = -1;
    load(); // somebody else has changed something
    return;
  }
  rows = answer.rows ?? rows.map((row) => (row.utterance === answer.row.utterance ? answer.row : row));
  count = answer.count;
  const index = rows.findIndex((row) => row.utterance === before?.utterance);
  at = Math.max(0, index >= 0 ? index : Math.min(at, rows.length - 1));
  const row = current();
  if (row && (row.revision !== base || !typed)) {
    if (typed && row.utterance === before.utterance) {
      say(`${row.source} has changed this meanwhile: what you type is kept beside it`, true);
    } else {
      base = row.revision;
      if (box.value.trim() !== row.text) write(row.text);
    }
  }
  show();
}

async function load() {
  if (outbox.waiting) return;
  try {
    const answer = await fetch(`/labels?count=${count}`);
    const content = await answer.json();
    if (!answer.ok) return say(content.detail, true);
    if (content.rows) take(content);
    if (content.folder) ({ folder, who } = content);
    outbox.reached();
  } catch {
    outbox.away();
  }
}

function send(kind, body) {
  outbox.put(folder, kind, body);
}

// Save the current utterance; `more` are fields that differ.
function change(state, more = {}) {
  const row = current();
  clearTimeout(idle);
  const body = {
    utterance: row.utterance, start: row.start, end: row.end, text: box.value.trim(), state, base,
    revision: fresh(), who, settles: state === "open" ? [] : row.conflicts.map((each) => each.revision), also: [], ...more,
  };
  if (body.also.some((part) => part.utterance === "")) {
    for (const part of body.also) part.utterance ||= `${row.utterance}#${body.revision.slice(0, 8)}`;
  }
  const { start, end, text, revision } = body;
  const conflicts = body.settles.length ? [] : row.conflicts;
  Object.assign(row, { start, end, text, state, revision, conflicts, source: who });
  base = revision;
  done.push(revision);
  send("change", body);
  return body;
}

const dirty = (row) => box.value.trim() !== row.text;

// Save what is typed and not accepted.
function keep() {
  clearTimeout(idle);
  if (current() && dirty(current())) change("open");
}

// ---- what is shown

function say(message, isError = false) {
  byId("status").textContent = message;
  byId("status").classList.toggle("error", isError);
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function write(text) {
  box.value = text;
  retime();
}

function retime() {
  const row = current();
  words = row ? timed(box.value, seen?.words ?? [], row.start, row.end) : [];
  word = Math.max(0, Math.min(word, words.length - 1));
  marks();
}

function marks() {
  const first = seen?.first ?? 0;
  byId("marks").replaceChildren(...words.map((each, index) => {
    const mark = element("span", each.word, index === word ? "current" : "");
    mark.style.left = `${(each.start - first) * PIXELS_PER_SECOND}px`;
    mark.style.top = `${0.2 + 1.4 * (index % 3)}rem`;
    mark.style.borderColor = each.confidence === undefined ? "#888" : `hsl(${Math.round(120 * each.confidence)} 70% 45%)`;
    mark.addEventListener("click", () => { jump(index - word); play(); });
    return mark;
  }));
  const row = current();
  if (!row || !seen?.last) return;
  byId("before").style.width = `${(row.start - first) * PIXELS_PER_SECOND}px`;
  byId("behind").style.width = `${Math.max(0, seen.last - row.end) * PIXELS_PER_SECOND}px`;
}

const choices = () => [...new Set([...(current()?.conflicts ?? []).map((each) => each.text ?? ""), ...(seen?.nbest ?? [])])].slice(0, 9);

function show() {
  const row = current();
  const ready = rows.filter((each) => ["corrected", "unusable"].includes(each.state)).length;
  byId("about").textContent = `${ready} of ${rows.length} done`;
  if (!row) return say("there is no utterance", true);
  byId("name").textContent = `${row.utterance}, ${row.start.toFixed(2)} to ${row.end.toFixed(2)} s, ${row.state}`
    + ` (text: ${row.source}; confidence ${Math.round(100 * row.confidence)} %, difference ${Math.round(100 * row.difference)} %)`
    + (row.error ? `: ${row.error}` : "");
  const others = new Map(row.conflicts.map((each) => [each.text ?? "", each]));
  byId("choices").replaceChildren(...choices().map((text, index) => {
    const other = others.get(text);
    const line = element("li", other ? `${text || other.state} (${other.who}, a change of an older revision)` : text, other ? "conflict" : "");
    line.addEventListener("click", () => choose(index));
    return line;
  }));
  const first = Math.max(0, at - LISTED);
  byId("list").replaceChildren(...rows.slice(first, at + LISTED + 1).map((each, index) => {
    const line = document.createElement("div");
    line.className = first + index === at ? "current" : each.conflicts.length ? "conflict" : "";
    const state = each.conflicts.length ? "conflict" : each.state;
    line.append(element("b", state), element("span", `${Math.round(100 * each.doubt)} %`), element("span", each.utterance), element("span", each.text));
    line.addEventListener("click", () => go(first + index));
    return line;
  }));
  marks();
}

async function go(index, { save = true, sound = true } = {}) {
  if (save) keep();
  if (!rows.length) return;
  player.pause();
  box.blur();
  looping = false;
  at = Math.max(0, Math.min(rows.length - 1, index));
  const row = current();
  [base, seen, word] = [row.revision, null, 0];
  byId("picture").replaceChildren();
  write(row.text);
  show();
  const source = `/audio?path=${encodeURIComponent(row.audio)}`;
  if (!player.src.endsWith(source)) player.src = source;
  player.currentTime = row.start;
  if (sound) play(row.start);
  await look();
}

// Fetch what was heard in the current utterance, and its picture.
async function look() {
  const { utterance } = current();
  try {
    const answer = await fetch(`/utterance?name=${encodeURIComponent(utterance)}`);
    const content = await answer.json();
    if (current()?.utterance !== utterance) return;
    if (!answer.ok || content.error) say(content.error ?? content.detail, true);
    if (!answer.ok) return;
    seen = content;
    byId("picture").replaceChildren();
    const wide = draw(byId("picture"), seen.picture, PIXELS_PER_SECOND);
    byId("stage").style.width = `${wide}px`;
    retime();
    show();
  } catch {
    outbox.away();
  }
}

// ---- sound

function play(from) {
  if (from !== undefined) player.currentTime = from;
  player.play().catch(() => {}); // where a browser wants a key to be pressed before
}

function toggle() {
  if (!player.paused) return player.pause();
  const { start, end } = current();
  const here = player.currentTime;
  return play(here >= end - LEAST || here < start ? start : undefined);
}

function loop() {
  looping = !looping && words.length > 0;
  if (looping) play(words[word].start - LEAST);
  else player.pause();
  say(looping ? `looping “${words[word].word}”` : "");
}

function jump(by) {
  if (!words.length) return;
  word = Math.max(0, Math.min(words.length - 1, word + by));
  player.currentTime = words[word].start;
  marks();
}

setInterval(() => {
  const row = current();
  const now = player.currentTime;
  byId("cursor").style.left = `${(now - (seen?.first ?? 0)) * PIXELS_PER_SECOND}px`;
  if (!row || player.paused) return;
  if (looping) {
    if (now > words[word].end + LEAST) player.currentTime = Math.max(0, words[word].start - LEAST);
    return;
  }
  if (now >= row.end) return player.pause();
  const heard = words.findLastIndex((each) => each.start <= now);
  if (heard >= 0 && heard !== word) {
    word = heard;
    marks();
  }
}, 20);

player.addEventListener("error", () => {
  if (player.src && !player.src.endsWith("&wave=true")) player.src += "&wave=true";
});

// ---- what keys do

function accept() {
  change("corrected");
  go(at + 1, { save: false });
}

function unusable() {
  change("unusable");
  go(at + 1, { save: false });
}

function undo() {
  keep();
  send("undo", { who, revision: fresh(), undoes: done.pop() ?? null });
}

function choose(index) {
  const text = choices()[index];
  if (text === undefined) return;
  write(text);
  keep();
}

function nudge(edge, by) {
  const row = current();
  if (!seen?.last) return;
  const time = nearest(row[edge], by, seen.pauses, SNAP) ?? row[edge] + by * LEAST;
  const [low, high] = edge === "start" ? [0, row.end - LEAST] : [row.start + LEAST, seen.duration];
  row[edge] = Math.max(low, Math.min(high, time));
  change(row.state === "corrected" && !dirty(row) ? "corrected" : "open");
  retime();
  show();
  play(edge === "start" ? row.start : Math.max(row.start, row.end - 1));
}

function split() {
  const row = current();
  if (word < 1 || word >= words.length) return say("go to the word that begins the second part", true);
  const [left, right] = [words[word - 1].end, words[word].start];
  const middle = (left + right) / 2;
  const pause = (seen?.pauses ?? []).map(([a, b]) => (a + b) / 2).find((time) => time > left - LEAST && time < right + LEAST);
  const time = Math.max(row.start + LEAST, Math.min(row.end - LEAST, pause ?? middle));
  const text = (part) => part.map((each) => each.word).join(" ");
  const rest = { start: time, end: row.end, text: text(words.slice(word)), state: "open" };
  const body = change("open", { end: time, text: text(words.slice(0, word)), also: [{ ...rest, utterance: "", base: null }] });
  const { utterance } = body.also[0];
  rows.splice(at + 1, 0, { ...row, ...rest, utterance, revision: body.revision, conflicts: [] });
  go(at, { save: false });
}

function join() {
  keep();
  const row = current();
  const later = rows.filter((each) => each.audio === row.audio && each.start > row.start);
  if (!later.length) return say("nothing follows in this recording", true);
  const next = later.reduce((one, other) => (other.start < one.start ? other : one));
  const { utterance, start, end, text, revision } = next;
  change("open", { end, text: `${row.text} ${text}`.trim(), also: [{ utterance, start, end, text, state: "joined", base: revision }] });
  rows = rows.filter((each) => each !== next);
  at = rows.indexOf(row);
  go(at, { save: false });
}

function conflict() {
  const index = rows.findIndex((row) => row.conflicts.length);
  if (index < 0) return say("there is no conflict");
  go(index);
}

const KEYS = [
  [["Space"], "play, pause", toggle], [["KeyL"], "loop the word", loop],
  [["ArrowLeft"], "word before", () => jump(-1)], [["ArrowRight"], "next word", () => jump(1)],
  [["Enter"], "accept, and go on", accept], [["KeyU"], "unusable, and go on", unusable],
  [["KeyZ"], "undo", undo], [["KeyE"], "edit the text", () => box.focus()],
  [["ArrowUp"], "utterance before", () => go(at - 1)], [["ArrowDown"], "next utterance", () => go(at + 1)],
  [["KeyS"], "split before the word", split], [["KeyJ"], "join with the next", join],
  [["Comma", "Period"], "start earlier, later, to a pause", (code) => nudge("start", code === "Comma" ? -1 : 1)],
  [["Shift+Comma", "Shift+Period"], "end earlier, later", (code) => nudge("end", code === "Shift+Comma" ? -1 : 1)],
  [["Digit1", "Digit9"], "take one of the texts", null], [["KeyC"], "next conflict", conflict],
];
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Comma: ",", Period: ".", Enter: "Enter", Space: "Space" };
const label = (code) => code.replace(/^(Shift\+)?(.*)$/, (_, shift, rest) => (shift ? "Shift " : "") + (NAMES[rest] ?? rest.replace(/^Key|^Digit/, "").toLowerCase()));

function run(event) {
  const letter = /^[a-z]$/i.test(event.key) && !event.altKey ? `Key${event.key.toUpperCase()}` : event.code;
  const digit = event.code.match(/^(?:Digit|Numpad)([1-9])$/);
  if (digit) return choose(Number(digit[1]) - 1) ?? true;
  const code = (event.shiftKey ? "Shift+" : "") + letter.replace("NumpadEnter", "Enter");
  const found = KEYS.find(([codes, , task]) => task && codes.includes(code));
  if (!found) return false;
  say("");
  found[2](code);
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.isComposing || !current()) return;
  const typing = document.activeElement === box;
  if (typing && event.key === "Escape") {
    box.blur();
    keep();
  } else if (typing && event.key === "Tab") {
    toggle();
  } else if (typing && !event.altKey && event.key !== "Enter") {
    return;
  } else if (!run(event)) {
    return;
  }
  event.preventDefault();
});

box.addEventListener("input", () => {
  retime();
  clearTimeout(idle);
  idle = setTimeout(keep, IDLE);
});
// The current word is the one that the caret is in.
function follow() {
  if (document.activeElement !== box || !words.length) return;
  const before = box.value.slice(0, box.selectionStart);
  const count = before.split(/\s+/).filter(Boolean).length - (/\s$|^$/.test(before) ? 0 : 1);
  word = Math.max(0, Math.min(words.length - 1, count));
  marks();
}
for (const kind of ["keyup", "click", "focus"]) box.addEventListener(kind, follow);
addEventListener("pagehide", keep);

const cells = KEYS.map(([codes, what]) => {
  const cell = document.createElement("td");
  codes.forEach((code, index) => cell.append(...(index ? [codes[0] === "Digit1" ? " to " : " "] : []), element("kbd", label(code))));
  cell.append(` ${what}`);
  return cell;
});
for (let first = 0; first < cells.length; first += 4) {
  const line = document.createElement("tr");
  line.append(...cells.slice(first, first + 4));
  byId("keys").append(line);
}
const hint = document.createElement("caption");
hint.append("While the text is edited: ", element("kbd", "Tab"), " plays, ", element("kbd", "Alt"), " with a key does what the key does, ", element("kbd", "Esc"), " ends editing.");
byId("keys").append(hint);

// ---- the start

await load();
outbox.adopt(folder);
const open = rows.findIndex((row) => row.state === "open");
await go(Math.max(0, open), { save: false, sound: false });
setInterval(load, 2000);
