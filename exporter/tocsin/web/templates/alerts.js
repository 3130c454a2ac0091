// Acknowledges an alert with the token that was typed in. The token is kept nowhere but in its field.
"use strict";

const field = document.getElementById("token");
const forms = document.querySelectorAll("form[data-to]");

async function acknowledge(form) {
  const said = form.querySelector("output");
  if (!field.value) {
    said.textContent = "Give the token first.";
    field.focus();
    return;
  }
  form.elements[0].disabled = true;
  said.textContent = "Asking …";
  try {
    const headers = { "x-admin-key": field.value };
    const answer = await fetch(form.dataset.to, { method: "POST", headers, redirect: "error" });
    const found = await answer.json().catch(() => ({}));
    if (answer.ok && found.acknowledgedBy) {
      form.parentElement.textContent = `acknowledged by ${found.acknowledgedBy}, ${found.acknowledgedAt}`;
      return;
    }
    said.textContent = `${answer.status}: ${found.message ?? found.reason ?? found.error ?? "no answer of Tocsin"}`;
  } catch (error) {
    said.textContent = `No answer: ${error.message}`;
  }
  form.elements[0].disabled = false;
}

for (const form of forms) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    acknowledge(form);
  });
}
if (field) {
  field.form.hidden = false;
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    // With several, a press of Enter does not say which is meant.
    if (forms.length === 1) acknowledge(forms[0]);
  });
}
