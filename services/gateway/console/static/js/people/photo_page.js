// A photo and its faces.

import { ask, words } from "../colega.js";
import { choose, confirm, goAndTell, move, showAnew } from "../dialogs.js";

const said = words("words-photo");
const page = document.getElementById("photo");
const shown = () => showAnew("#photo");

page.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { move: moved, of, delete: deleted } = button.dataset;
  if (moved) {
    choose(said.whose, { anew: true, nobody: of !== "", except: of }, (person) => move(moved, person, of || null, said, shown));
  } else if (deleted) {
    confirm(said.delete_face, said.delete_face_says, said.delete, async () => {
      await ask("DELETE", `faces/${deleted}`);
      await shown();
    });
  } else if (button.id === "delete-photo") {
    confirm(said.delete_photo, said.delete_photo_says, said.delete, async () => {
      await ask("DELETE", `photos/${page.dataset.id}`);
      const collection = new URLSearchParams(location.search).get("collection");
      goAndTell(collection ? `/people?collection=${encodeURIComponent(collection)}` : "/people", said.photo_deleted);
    });
  }
});
