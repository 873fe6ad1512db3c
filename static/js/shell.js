// What every page has: the theme switch without a reload, and drafts that end with the session.

const YEAR_S = 31_536_000;

function showTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-switch] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
}

for (const form of document.querySelectorAll("[data-theme-switch]")) {
  form.addEventListener("submit", (event) => {
    const theme = event.submitter.value;
    event.preventDefault();
    document.cookie = `theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
    showTheme(theme);
  });
}

// The next person at this browser must not find an unsent question.
document.querySelector('form[action$="/logout/"]')?.addEventListener("submit", () => sessionStorage.clear());
