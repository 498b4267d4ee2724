// Loaded between require.js and the widget manager: every module comes from the folder of this file,
// and the widget manager's call to MathJax 2 is passed on to MathJax 3.
(function () {
  const me = document.currentScript;
  const base = me.src.replace(/[^/]*$/, "") + "amd/";
  window.requirejs.config({ baseUrl: base });
  me.setAttribute("data-jupyter-widgets-cdn", base);
  document.addEventListener("DOMContentLoaded", function () {
    const mathjax = window.MathJax;
    if (!mathjax || mathjax.Hub || !mathjax.startup) return;
    mathjax.Hub = {
      Queue: function (...calls) {
        for (const call of calls)
          if (call && call[0] === "Typeset")
            mathjax.startup.promise.then(() => mathjax.typesetPromise([call[2]]));
      },
    };
  });
})();
