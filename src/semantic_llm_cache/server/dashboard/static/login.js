// A token after the "#" of the address never reaches a server or its log. It is sent with the form, and removed.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = given;
  document.getElementById("sign-in").requestSubmit();
}
