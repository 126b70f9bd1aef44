// Decides what the person gets: GraphiQL if all of its files arrive in time, else the own page of page.js.
"use strict";

(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const root = document.getElementById("playground");

  /** One request, as both pages send it. */
  async function send(body, headers) {
    return fetch(location.pathname, {
      method: "POST",
      headers: {
        accept: "application/graphql-response+json, application/json;q=0.9",
        "content-type": "application/json",
        ...headers,
      },
      body: JSON.stringify(body),
    });
  }

  function element({ url, integrity }) {
    const isStyle = url.endsWith(".css");
    const made = document.createElement(isStyle ? "link" : "script");
    if (isStyle) {
      made.rel = "stylesheet";
    } else {
      made.async = false; // in the order given: react before react-dom before graphiql
    }
    if (integrity) {
      made.integrity = integrity;
      made.crossOrigin = "anonymous";
    }
    made[isStyle ? "href" : "src"] = url;
    return made;
  }

  function load() {
    const elements = settings.files.map(element);
    const arrived = elements.map(
      (made) =>
        new Promise((resolve, reject) => {
          made.addEventListener("load", resolve);
          made.addEventListener("error", () => reject(new Error("it did not load")));
          document.head.append(made);
        }),
    );
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error("it did not load in time")), settings.milliseconds);
    });
    return Promise.race([Promise.all(arrived), late]).catch((error) => {
      elements.forEach((made) => made.remove());
      throw error;
    });
  }

  // Tabs last as long as the browser's tab does, with their headers: a restored tab that had lost its x-simulate would
  // write for real. Credentials among them are never kept on disk. Only the theme is, for the next visit.
  // Other prepared operations are another edition, which opens with its own tabs.
  const place = (name) =>
    name.endsWith("theme") ? [localStorage, name] : [sessionStorage, `${settings.edition}:${name}`];
  const on = (method) => (name, ...rest) => {
    const [area, key] = place(name);
    return area[method](key, ...rest);
  };
  const storage = {
    getItem: on("getItem"),
    setItem: on("setItem"),
    removeItem: on("removeItem"),
    clear: () => sessionStorage.clear(),
    get length() {
      return sessionStorage.length;
    },
  };

  /**
   * GraphiQL fills the editors of the first tab it shows from here, and not from the tab. What it kept here itself may
   * be older than what it kept of the tabs, and then it opens one more tab.
   */
  function seedFirstTab() {
    let first = settings.operations[0];
    try {
      const { tabs, activeTabIndex } = JSON.parse(storage.getItem("graphiql:tabState"));
      first = tabs[activeTabIndex] ?? first;
    } catch {
      // Nothing usable was kept: this is the first visit.
    }
    for (const editor of ["query", "variables", "headers"]) {
      if (first[editor]) storage.setItem(`graphiql:${editor}`, first[editor]);
      else storage.removeItem(`graphiql:${editor}`);
    }
  }

  function usable({ text, summary }) {
    try {
      return JSON.parse(text);
    } catch {
      return { errors: [{ message: summary }] };
    }
  }

  /** Above GraphiQL's JSON: a line of ours, which React does not know and leaves where it is. */
  function say({ summary, detail, loud }) {
    let line = document.getElementById("status");
    if (!line) {
      line = document.createElement("output");
      line.id = "status";
      line.setAttribute("role", "status");
      document.querySelector(".graphiql-response")?.prepend(line);
    }
    line.textContent = summary;
    line.title = detail;
    line.classList.toggle("loud", loud);
  }

  // GraphiQL knows the keys only while one of its editors has the focus.
  function runByKeys(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.closest?.(".CodeMirror")) return;
    event.preventDefault();
    document.querySelector(".graphiql-execute-button")?.click();
  }

  function showGraphiQL() {
    document.addEventListener("keydown", runByKeys);
    const { React, ReactDOM, GraphiQL } = window;
    const fetcher = async ({ operationName, ...params }, options) => {
      // GraphiQL learns of a tab's operation a moment after it showed the tab; the tab before has no say in this one.
      const named = operationName && new RegExp(`\\b${operationName}\\b`).test(params.query);
      const answer = await window.answers.ask(send, named ? { ...params, operationName } : params, options?.headers);
      if (operationName !== "IntrospectionQuery") say(answer);
      return usable(answer);
    };
    const list = window.preparedOperations(React, GraphiQL.React, settings.operations);
    seedFirstTab();
    root.replaceChildren();
    ReactDOM.createRoot(root).render(
      React.createElement(
        GraphiQL,
        {
          fetcher,
          storage,
          defaultTabs: settings.operations.slice(0, 1).map(({ query, variables, headers }) => ({ query, variables, headers })),
          defaultEditorToolsVisibility: true,
          plugins: [list],
          schemaDescription: true,
          shouldPersistHeaders: true,
          showPersistHeadersSettings: false,
          visiblePlugin: list.title,
        },
        React.createElement(GraphiQL.Logo, null, "GraphQL gateway"),
      ),
    );
  }

  // GraphiQL's three columns are of no use on a telephone.
  if (matchMedia("(max-width: 760px)").matches) {
    window.showOwnPage(root, settings.operations, send, "the window is narrow", true);
  } else {
    load()
      .then(showGraphiQL)
      .catch((error) => window.showOwnPage(root, settings.operations, send, `GraphiQL was asked for, but ${error.message}`));
  }
})();
