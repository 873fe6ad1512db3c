// The page that shows a secret once: copying, and a reload that leads to the list instead of issuing another.

import { copyText } from "./clipboard.js";

const page = document.querySelector("[data-issued]");
if (page) history.replaceState(null, "", page.dataset.issued);

async function copy(button) {
  await copyText(document.getElementById(button.dataset.copy).textContent);
  const label = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => { button.textContent = label; }, 2000);
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
