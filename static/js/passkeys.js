// Passkeys: asks the browser for one and posts what it says. A form with data-passkey is such a form: "create" or "get";
// its options are in the page (data-options names the element) or, where nobody has signed in yet, fetched from its action.

const CANCELLED = ["NotAllowedError", "AbortError"];

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(document.getElementById(form.dataset.options).textContent);
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return (await answer.json()).request_options;
}

async function askBrowser(form) {
  const { publicKey } = await optionsOf(form);
  if (form.dataset.passkey === "create") {
    // The server offers keys of either kind; ours are those that sign in alone.
    Object.assign(publicKey.authenticatorSelection,
      { residentKey: "required", requireResidentKey: true, userVerification: "required" });
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}

async function submit(event) {
  const form = event.currentTarget;
  event.preventDefault();
  const problem = form.querySelector("[data-problem]");
  problem.hidden = true;
  try {
    form.elements.credential.value = JSON.stringify((await askBrowser(form)).toJSON());
    form.submit();
  } catch (error) {
    problem.textContent = CANCELLED.includes(error.name) ? problem.dataset.cancelled : problem.dataset.failed;
    problem.hidden = false;
  }
}

// Browsers give passkeys to https and to localhost only, never to a bare IP address.
const CAN = window.isSecureContext && window.PublicKeyCredential?.parseRequestOptionsFromJSON
  && !/^[\d.]+$|^\[/.test(location.hostname);

for (const form of document.querySelectorAll("[data-passkey]")) {
  form.addEventListener("submit", submit);
  if (CAN) form.hidden = false;
}
for (const notice of document.querySelectorAll("[data-no-passkeys]")) notice.hidden = Boolean(CAN);
