// Makes and uses passkeys. A form carries the options for the browser and sends its answer;
// without this script, or in a browser that knows no passkeys, such forms stay hidden.

const credentials = window.PublicKeyCredential;

async function answer(form) {
  const options = JSON.parse(form.dataset.options);
  if (form.dataset.passkey === "use") {
    return navigator.credentials.get({
      publicKey: credentials.parseRequestOptionsFromJSON(options),
    });
  }
  return navigator.credentials.create({
    publicKey: credentials.parseCreationOptionsFromJSON(options),
  });
}

// The first administrator chooses a name, which the passkey is to show.
function takeName(form) {
  const field = form.querySelector("[data-name-from]");
  if (field === null) {
    return true;
  }
  const source = document.getElementById(field.dataset.nameFrom);
  if (!source.reportValidity()) {
    return false;
  }
  field.value = source.value;
  const options = JSON.parse(form.dataset.options);
  options.user.name = options.user.displayName = source.value;
  form.dataset.options = JSON.stringify(options);
  return true;
}

async function send(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const failure = form.querySelector("[data-failure]");
  failure.hidden = true;
  if (!takeName(form)) {
    return;
  }
  try {
    const credential = await answer(form);
    form.elements.credential.value = JSON.stringify(credential.toJSON());
  } catch (error) {
    failure.textContent = "No passkey came of it. Try again, or use a password.";
    failure.hidden = false;
    return;
  }
  form.submit();
}

if (typeof credentials?.parseCreationOptionsFromJSON === "function") {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", send);
    form.hidden = false;
  }
}
