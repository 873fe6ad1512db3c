// The page that shows a secret once: copying, and a reload that leads to the list instead of issuing another.

const page = document.querySelector("[data-issued]");
if (page) history.replaceState(null, "", page.dataset.issued);

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Without TLS browsers give no clipboard: select the text, so that Ctrl-C does it.
    getSelection().selectAllChildren(source);
    return;
  }
  const label = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => { button.textContent = label; }, 2000);
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
