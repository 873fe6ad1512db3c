// The messages on the page, kept true to what the server says. It renders; this only puts its HTML in place.

const NEAR_END_PX = 140;

export class Thread {
  constructor(list, { announcer, texts }) {
    this.list = list;
    this.announcer = announcer;
    this.texts = texts;
    this.#decorate(list);
  }

  /** The last message that will not change any more: what follows it is asked for anew after a reconnect. */
  get lastSettled() {
    return this.#items.findLast((item) => item.dataset.phase !== "streaming")?.dataset.message ?? null;
  }

  /** What a new question continues from. */
  get leaf() {
    return this.#items.at(-1)?.dataset.message ?? null;
  }

  get running() {
    return this.list.querySelector(':scope > [data-phase="streaming"]');
  }

  has(message) {
    return document.getElementById(`m-${message}`) !== null;
  }

  /** False where this page lacks the message that the state continues from. */
  applyState({ after, html }) {
    const anchor = after && document.getElementById(`m-${after}`);
    if (after && !anchor) return false;
    const fresh = this.#parse(html);
    const wasRunning = this.running;
    this.#keepEnd(() => {
      const old = this.#items.slice(anchor ? this.#items.indexOf(anchor) + 1 : 0);
      const kept = fresh.map((item) => old.find((known) => isSameLive(known, item)) ?? item);
      for (const item of old) if (!kept.includes(item)) item.remove();
      this.list.append(...kept);
    });
    this.#announceTurn(wasRunning);
    return true;
  }

  applyLive({ message_id: message, end, closed, tail }) {
    const item = this.#liveItem(message);
    if (!item) return;
    this.#keepEnd(() => {
      item.querySelector(".closed").innerHTML = closed;
      item.querySelector(".tail").innerHTML = tail;
      item.dataset.end = end;
      this.#decorate(item.querySelector(".closed"));
    });
  }

  /** False where something between is missing. */
  applyDelta({ message_id: message, offset, end, closed, tail }) {
    const item = this.#liveItem(message);
    if (!item) return this.has(message);
    const have = Number(item.dataset.end ?? -1);
    if (have < 0 || end <= have) return true;
    if (offset !== have) return false;
    this.#keepEnd(() => this.#extend(item, { end, closed, tail }));
    return true;
  }

  applyQueued({ message_id: message, position }) {
    const place = this.#liveItem(message)?.querySelector(".place");
    if (place) place.textContent = this.texts.queued.replace("{position}", position);
  }

  get isAtEnd() {
    return innerHeight + scrollY >= document.documentElement.scrollHeight - NEAR_END_PX;
  }

  scrollToEnd() {
    scrollTo({ top: document.documentElement.scrollHeight });
  }

  get #items() {
    return [...this.list.children];
  }

  #extend(item, { end, closed, tail }) {
    const addition = document.createElement("template");
    addition.innerHTML = closed;
    this.#decorate(addition.content);
    if (closed) this.announcer.textContent = addition.content.textContent;
    item.querySelector(".closed").append(addition.content);
    item.querySelector(".tail").innerHTML = tail;
    item.dataset.end = end;
  }

  #liveItem(message) {
    const item = document.getElementById(`m-${message}`);
    return item?.dataset.phase === "streaming" ? item : null;
  }

  #parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    this.#decorate(template.content);
    return [...template.content.children];
  }

  #announceTurn(wasRunning) {
    const running = this.running;
    if (running && running !== wasRunning) this.announcer.textContent = this.texts.started;
    if (wasRunning && !running) this.announcer.textContent = this.texts.finished;
  }

  /** Readers at the end stay there; those who scrolled up are left alone. */
  #keepEnd(change) {
    const wasAtEnd = this.isAtEnd;
    change();
    if (wasAtEnd) this.scrollToEnd();
  }

  #decorate(root) {
    for (const head of root.querySelectorAll(".code-head:not(:has(button))")) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.copyCode = "";
      button.textContent = this.texts.copy;
      head.append(button);
    }
  }
}

function isSameLive(known, item) {
  const isLive = (one) => one.dataset.phase === "streaming";
  return known.dataset.message === item.dataset.message && isLive(known) && isLive(item);
}
