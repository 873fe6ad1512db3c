// A new conversation: the form is an ordinary one; suggestions fill it.

import { Composer } from "./composer.js";

const form = document.getElementById("composer");
if (form) {
  const composer = new Composer(form);
  for (const button of document.querySelectorAll("[data-suggestion]")) {
    button.addEventListener("click", () => {
      composer.fill(button.textContent);
      form.requestSubmit();
    });
  }
}
