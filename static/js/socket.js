// A websocket that comes back: after a loss it tries again, ever more slowly, and at once when the network returns.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const FATAL_CODES = [4401, 4404, 4413];

export class LastingSocket {
  constructor(path, { onOpen, onFrame, onLost, onFatal }) {
    this.url = new URL(path, location.href.replace(/^http/, "ws"));
    this.handlers = { onOpen, onFrame, onLost, onFatal };
    this.numFailures = 0;
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
    this.#connect();
  }

  /** Whether the frame was handed to the network; what is lost after that, the caller notices by missing the answer. */
  send(frame) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  #connect() {
    clearTimeout(this.timer);
    this.socket = new WebSocket(this.url);
    this.socket.addEventListener("open", () => {
      this.numFailures = 0;
      this.handlers.onOpen();
    });
    this.socket.addEventListener("message", (event) => this.handlers.onFrame(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  #closed(code) {
    if (FATAL_CODES.includes(code)) return this.handlers.onFatal(code);
    this.numFailures += 1;
    this.handlers.onLost();
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.numFailures - 1));
    // Spread, so that a restarted server is not met by every tab at once.
    this.timer = setTimeout(() => this.#connect(), wait * (0.5 + Math.random()));
  }

  #retryNow() {
    if (this.socket.readyState === WebSocket.CLOSED) this.#connect();
  }
}
