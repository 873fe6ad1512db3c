// A conversation: ties the socket, the thread and the composer together.

import { copyText } from "./clipboard.js";
import { Composer } from "./composer.js";
import { LastingSocket } from "./socket.js";
import { Thread } from "./thread.js";

const SILENCE_MS = 8_000;
const SHOWN_COPIED_MS = 1_500;

const chat = document.getElementById("chat");
const texts = chat.dataset;
const stopButton = document.getElementById("stop");
const sendButton = document.getElementById("send");
const offline = document.getElementById("offline");
const refusal = document.getElementById("refusal");
const jump = document.getElementById("jump");

const thread = new Thread(document.getElementById("thread"), {
  announcer: document.getElementById("announcer"),
  texts,
});
const composer = new Composer(document.getElementById("composer"), { onSubmit: ask });
/** The question that the server has not confirmed yet. Sent again after a reconnect; its id keeps it single. */
let pending = null;
let heardAt = Date.now();

const socket = new LastingSocket(chat.dataset.socket, {
  onOpen: () => {
    offline.hidden = true;
    join();
  },
  onLost: () => {
    offline.hidden = false;
  },
  onFatal: (code) => location.assign(code === 4401 ? texts.login : texts.home),
  onFrame: receive,
});

function receive(frame) {
  heardAt = Date.now();
  if (frame.type === "state") applyState(frame);
  if (frame.type === "live") thread.applyLive(frame);
  if (frame.type === "delta" && !thread.applyDelta(frame)) join();
  if (frame.type === "queued") thread.applyQueued(frame);
  if (frame.type === "refused") showRefusal(frame.advice);
  showJump();
}

function applyState(frame) {
  if (!thread.applyState(frame)) return socket.send({ type: "join", after: null });
  showTitle(frame.title);
  showRunning();
  if (!pending) return;
  if (thread.has(pending.message_id)) {
    // What was typed meanwhile stays.
    if (composer.text === pending.text) composer.clear();
    pending = null;
    thread.scrollToEnd();
  } else if (!thread.running) {
    socket.send(pending);
  }
}

function join() {
  socket.send({ type: "join", after: thread.lastSettled });
}

function ask(text, model) {
  if (thread.running || pending) return;
  refusal.hidden = true;
  pending = { type: "send", message_id: newId(), parent: thread.leaf, text, model };
  socket.send(pending);
}

function showRefusal(advice) {
  pending = null;
  refusal.querySelector("p").textContent = advice;
  refusal.hidden = false;
  showRunning();
}

function showRunning() {
  const isRunning = thread.running !== null;
  stopButton.hidden = !isRunning;
  sendButton.hidden = isRunning;
  stopButton.disabled = false;
}

function showTitle(title) {
  if (!title) return;
  document.title = `${title} · Flotilla`;
  document.getElementById("topbar-title").textContent = title;
  for (const label of document.querySelectorAll(`[data-title-of="${chat.dataset.conversation}"]`)) label.textContent = title;
}

function showJump() {
  jump.hidden = thread.isAtEnd;
}

function regenerate(item) {
  refusal.hidden = true;
  socket.send({ type: "regenerate", message_id: item.dataset.message, model: composer.model });
}

async function copy(button, element) {
  await copyText(element.innerText);
  const isIcon = button.querySelector("svg");
  const label = button.innerHTML;
  if (isIcon) button.querySelector("use").setAttribute("href", "#icon-check");
  else button.textContent = texts.copied;
  document.getElementById("announcer").textContent = texts.copied;
  setTimeout(() => {
    button.innerHTML = label;
  }, SHOWN_COPIED_MS);
}

/** A random UUID; crypto.randomUUID does not exist on plain http. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

stopButton.addEventListener("click", () => {
  stopButton.disabled = true;
  socket.send({ type: "stop" });
  composer.field.focus();
});

thread.list.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const item = button?.closest(".message");
  if (!item) return;
  if (button.dataset.copyCode !== undefined) copy(button, button.closest(".code-block").querySelector("code"));
  if (button.dataset.copyAnswer !== undefined) copy(button, item.querySelector(".prose"));
  if (button.dataset.regenerate !== undefined) regenerate(item);
  if (button.dataset.show) socket.send({ type: "show", message_id: button.dataset.show });
});

jump.addEventListener("click", () => thread.scrollToEnd());
addEventListener("scroll", showJump, { passive: true });
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing && thread.running && !document.querySelector("dialog[open], :popover-open")) stopButton.click();
});

// Frames may get lost on the way, the last of an answer too: after a silence, ask.
setInterval(() => {
  if ((thread.running || pending) && Date.now() - heardAt > SILENCE_MS) join();
}, SILENCE_MS / 2);

showRunning();
if (!location.hash) thread.scrollToEnd();
