// A panel for GraphiQL: the prepared operations by their titles. Choosing one shows its tab, or opens it again.
"use strict";

window.preparedOperations = (React, { useEditorContext }, operations) => {
  const h = React.createElement;
  const nameOf = (query) => /^(?:query|mutation) (\w+)/m.exec(query ?? "")?.[1];

  function Panel() {
    const editors = useEditorContext();
    const current = editors.tabs[editors.activeTabIndex]?.title;

    const { queryEditor, variableEditor } = editors;
    React.useEffect(() => {
      for (const editor of [queryEditor, variableEditor]) editor?.setOption("lineWrapping", true);
    }, [queryEditor, variableEditor]);

    function open(operation) {
      const index = editors.tabs.findIndex((tab) => tab.title === nameOf(operation.query));
      if (index >= 0) {
        editors.changeTab(index);
        return;
      }
      editors.addTab();
      editors.queryEditor?.setValue(operation.query);
      editors.variableEditor?.setValue(operation.variables);
      editors.headerEditor?.setValue(operation.headers);
    }

    const entry = (operation) =>
      h(
        "li",
        { key: operation.title },
        h(
          "button",
          {
            type: "button",
            onClick: () => open(operation),
            "aria-current": nameOf(operation.query) === current ? "true" : undefined,
          },
          operation.title,
          operation.reason && h("small", null, operation.reason),
        ),
      );
    const group = (title, wanted) => h("section", { key: title }, h("h3", null, title), h("ul", null, operations.filter(wanted).map(entry)));
    return h(
      "div",
      { className: "prepared" },
      h("h2", null, "Prepared operations"),
      h("p", null, "They work on the records that the local store holds on first start."),
      group("Works", (operation) => operation.reason === null),
      group("Fails on purpose", (operation) => operation.reason !== null),
    );
  }

  const icon = () =>
    h(
      "svg",
      { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.6, strokeLinecap: "round", "aria-hidden": true },
      h("path", { d: "M4 6h.01M8 6h12M4 12h.01M8 12h12M4 18h.01M8 18h12" }),
    );
  return { title: "Prepared operations", icon, content: Panel };
};
