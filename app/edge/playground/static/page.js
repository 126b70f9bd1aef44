// The own page: choose a prepared operation, change it, run it, read the answer. It needs no file but these.
"use strict";

window.showOwnPage = (root, operations, send, reason, narrow) => {
  root.innerHTML = `
    <header>
      <h1>GraphQL playground</h1>
      <label for="operation">Prepared operation</label>
      <select id="operation"><optgroup label="Works"></optgroup><optgroup label="Fails on purpose"></optgroup></select>
      <button id="run" type="button" aria-keyshortcuts="Control+Enter Meta+Enter">Run <kbd>Ctrl Enter</kbd></button>
    </header>
    <main>
      <section aria-label="Request">
        <div class="tall"><label for="query">Operation</label><textarea id="query" spellcheck="false"></textarea></div>
        <div><label for="variables">Variables <small>JSON</small></label>
          <textarea id="variables" spellcheck="false" aria-describedby="variables-fault"></textarea>
          <p class="fault" id="variables-fault" role="alert"></p></div>
        <div class="short"><label for="headers">Headers <small>JSON, for instance {"x-simulate": "CONCURRENT_REQUEST"}</small></label>
          <textarea id="headers" spellcheck="false" aria-describedby="headers-fault"></textarea>
          <p class="fault" id="headers-fault" role="alert"></p></div>
      </section>
      <section aria-label="Answer">
        <div class="tall"><p class="label">Answer <output id="status" role="status">not run yet</output></p>
          <pre id="answer" tabindex="0"></pre></div>
      </section>
    </main>
    <footer></footer>`;
  const $ = (id) => document.getElementById(id);
  root.querySelector("footer").textContent =
    `This is the plain page, because ${reason}. All operations work here as well.`;

  const groups = root.querySelectorAll("optgroup");
  operations.forEach((operation, index) => {
    groups[operation.reason === null ? 0 : 1].append(new Option(operation.title, index));
  });

  function choose() {
    const operation = operations[$("operation").value];
    for (const name of ["query", "variables", "headers"]) {
      $(name).value = operation[name];
      if (name !== "query") fault(name, "");
    }
    $("status").textContent = "not run yet";
    $("status").classList.remove("loud");
    $("answer").textContent = "";
  }

  function fault(name, text) {
    $(`${name}-fault`).textContent = text;
    $(name).setAttribute("aria-invalid", String(Boolean(text)));
  }

  /** The object in an editor, {} for an empty one, undefined where it is none. */
  function parsed(name) {
    const text = $(name).value.trim();
    let value = {};
    let wrong = "";
    try {
      if (text) value = JSON.parse(text);
      if (value === null || typeof value !== "object" || Array.isArray(value)) wrong = "an object is needed";
    } catch (error) {
      wrong = error.message;
    }
    fault(name, wrong && `Not usable as JSON: ${wrong}`);
    if (wrong) $(name).focus();
    return wrong ? undefined : value;
  }

  async function run() {
    const variables = parsed("variables");
    const headers = parsed("headers");
    if ($("run").disabled || variables === undefined || headers === undefined) return;
    $("run").disabled = true;
    $("status").textContent = "running …";
    const answer = await window.answers.ask(send, { query: $("query").value, variables }, headers);
    $("run").disabled = false;
    $("status").textContent = [answer.summary, answer.detail].filter(Boolean).join(" · ");
    $("status").classList.toggle("loud", answer.loud);
    $("answer").textContent = answer.text;
    if (narrow) $("status").scrollIntoView({ block: "start" });
  }

  $("operation").addEventListener("change", choose);
  $("run").addEventListener("click", run);
  // On the document: the keys work before anything has the focus.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
  choose();
};
