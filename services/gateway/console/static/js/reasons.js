// Why something was rejected or refused, and what to do: the words of {% include "_reasons.html" %}, from reasons.py.

import { language, words } from "./colega.js";

const known = words("words-reasons");

/** {title, advice} of a rejected photo's reason, such as "no_face". */
export const rejection = (reason) => known.rejections?.[reason] ?? { title: (reason ?? "").replaceAll("_", " "), advice: "" };

/** A Problem of colega.js as a sentence or two: in English the service's own, which names the value; else by its type. */
export function explained(problem) {
  const type = (problem.type ?? "").split("/").pop();
  const found = known.problems?.[type] ?? known.rejections?.[type.replace(/^photo-/, "").replaceAll("-", "_")];
  if (!found || (language === "en" && problem.message)) return problem.message;
  return `${found.title}. ${found.advice}`;
}
