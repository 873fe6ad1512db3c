// Renaming and deleting in a dialog; without this the links lead to pages with the same forms.

for (const link of document.querySelectorAll("[data-dialog]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(document.getElementById(link.dataset.dialog), link);
  });
}

for (const button of document.querySelectorAll("dialog [data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

function open(dialog, link) {
  dialog.querySelector("form").action = link.href;
  const input = dialog.querySelector("[name=title]");
  if (input) input.value = link.dataset.title;
  const shown = dialog.querySelector("[data-show-title]");
  if (shown) shown.textContent = link.dataset.title;
  dialog.showModal();
  input?.select();
}
