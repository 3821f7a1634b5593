// Runs before the page is drawn, so that it does not flash in the wrong colours.
"use strict";
(() => {
  const stored = () => {
    try {
      return localStorage.getItem("semantic-llm-cache-theme") || "system";
    } catch {
      return "system";
    }
  };
  document.documentElement.dataset.theme = stored();
})();
