/* Frames and the token groups drawn on them. Both are there only if they were kept: pictures by `report --frames`, groups by
   `run --keep-groups`. What is missing is said. */

const pictures = { loaded: null };

/* Parsed when the first frame is to be shown: they may be most of the file. */
function kept() {
  if (!pictures.loaded) pictures.loaded = JSON.parse(document.getElementById('pictures').textContent);
  return pictures.loaded;
}

function filmOf() {
  return null;
}
