// Browsers refuse workers on pages that are opened from a file. There, this worker runs its script in a hidden frame,
// so that the search of the site works without a server.
(() => {
  if (location.protocol !== "file:") return

  function load(target, url) {
    return new Promise((done, failed) => {
      const script = target.createElement("script")
      script.src = url
      script.onload = done
      script.onerror = () => failed(new Error(`cannot load ${url}`))
      target.head.append(script)
    })
  }

  function message(data) {
    return new MessageEvent("message", { data: structuredClone(data) })
  }

  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<!doctype html><title>worker</title>"
      this.ready = new Promise((done) => this.frame.addEventListener("load", done, { once: true })).then(() => {
        const inside = this.frame.contentWindow
        inside.postMessage = (data) => this.dispatchEvent(message(data))
        inside.importScripts = async (...urls) => {
          for (const each of urls) await load(inside.document, each)
        }
        return load(inside.document, new URL(url, location).href)
      })
      this.ready.catch((error) => this.dispatchEvent(new ErrorEvent("error", { error, message: error.message })))
      document.documentElement.append(this.frame)
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(message(data)), () => {})
    }

    terminate() {
      this.frame.remove()
    }
  }
})()
