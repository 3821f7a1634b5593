// A token after the "#" of the address never reaches a server or its log. It is sent with the form, and removed.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = given;
  document.getElementById("sign-in").requestSubmit();
} else if (await signedIn()) {
  location.replace("../dashboard");
}

// The cookie is not sent when a link of another site leads here, but it is from here.
async function signedIn() {
  try {
    return (await (await fetch("session", { cache: "no-store" })).json()).signed_in;
  } catch {
    return false;
  }
}
