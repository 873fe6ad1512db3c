// The question field: Enter sends, Shift+Enter breaks the line, it grows, and an unsent draft outlives a reload.

export class Composer {
  constructor(form, { onSubmit = null } = {}) {
    this.form = form;
    this.field = form.elements.text;
    this.draftKey = `draft:${location.pathname}`;
    this.onSubmit = onSubmit;
    this.field.value ||= sessionStorage.getItem(this.draftKey) ?? "";
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("keydown", (event) => this.#pressed(event));
    form.addEventListener("submit", (event) => this.#submitted(event));
    this.#changed();
    // On a phone the keyboard would cover what one came to read.
    if (matchMedia("(hover: hover)").matches) this.field.focus();
  }

  get text() {
    return this.field.value.trim();
  }

  get model() {
    return this.form.elements.model.value;
  }

  fill(text) {
    this.field.value = text;
    this.#changed();
    this.field.focus();
  }

  clear() {
    this.fill("");
  }

  #changed() {
    sessionStorage.setItem(this.draftKey, this.field.value);
    if (CSS.supports("field-sizing", "content")) return;
    this.field.rows = Math.min(12, this.field.value.split("\n").length);
  }

  #pressed(event) {
    // While an input method composes (Chinese, say), Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #submitted(event) {
    if (!this.onSubmit) {
      sessionStorage.removeItem(this.draftKey);
      document.getElementById("send").disabled = true;
      return;
    }
    event.preventDefault();
    if (this.text) this.onSubmit(this.text, this.model);
  }
}
