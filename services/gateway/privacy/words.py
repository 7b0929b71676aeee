"""What a report about privacy says that is the same everywhere."""

CATEGORIES = [
    "names, external ids and attributes of the people who are enrolled",
    "photos of them as they were given, with what cameras write into such files",
    "chips: the surroundings of each face, 224 by 224 pixels",
    "embeddings: 512 numbers a face by which it is recognised; biometric data (GDPR article 9)",
    "of other faces in these photos box and score, and chip and embedding where they were kept for review",
    "who did what, by the ids of keys, people and photos",
]

PLACES = {
    "catalog": {
        "holds": "names, attributes, boxes, embeddings, consents, the ledger of erasures, the audit",
        "advice": "Put it on an encrypted disk, or in a database that encrypts.",
    },
    "photo store": {
        "holds": "photos, thumbnails, chips, snapshots of the index",
        "advice": "Sealed with a key per photo where COLEGA_WRAPPING_KEYS is set (docs/security.md).",
    },
    "index": {
        "holds": "embeddings, in the memory of searchers and in their data folder, mode 0600",
        "advice": "Put the data folder on an encrypted disk.",
    },
    "broker": {
        "holds": "a query photo and its answer for the seconds of a search, in memory alone",
        "advice": "It must not write to disk; the deployments here configure it so.",
    },
    "logs": {
        "holds": "ids, counts and times; no names, faces or photos",
        "advice": "Keep them as long as you need them.",
    },
    "backups": {
        "holds": "catalog and photo store as of a moment",
        "advice": "Sealed like the store where a wrapping key is set, which must not be kept with them.",
    },
}

TRANSFERS = "None by itself: colega speaks to no address that was not given to it. Webhooks go where they are said to."
QUERIES = "Query photos are never kept, nor written to a file: they are looked at in memory and forgotten."
ATTACKS = (
    "Not detected. A printed photo, a screen or a mask of somebody is taken for them: colega must not open doors, pay or sign by "
    "itself."
)
DECISIONS = (
    "None. colega says who a face resembles and how rare that is among strangers; what follows is decided by whoever asked, who must "
    "have a person look where it matters (GDPR article 22)."
)
CONSENT_AT_WORK = (
    "Consent of employees is rarely free, and so rarely valid (EDPB guidelines 05/2020; AEPD, guide on attendance by biometrics, "
    "2023): offer an equal way without biometrics, or rely on another ground."
)

TO_BE_ADDED = [
    "who the controller is, its representative and its data protection officer, and how people reach them",
    "why it is necessary and proportionate, and which gentler means were looked at and why they do not do",
    "the risks to people and what is done about each, with whom it was discussed, people or their representatives among them",
    "the alternative for whoever does not want to be recognised, and for whom it works badly",
    "who looks at an answer before something follows from it",
    "where cameras stand, what signs say, and who walks past without being enrolled",
    "processors (hosting, support) and their contracts; transfers that they make",
    "the disks, databases and networks that this runs on: encryption, access, backups kept elsewhere",
    "whether the supervisory authority has to be asked (article 36), and when this is looked at again",
]

ARTICLE_6_ALONE = (
    "Article 6 alone does not allow identification by biometric data: a ground of article 9(2) is needed, too."
)
NO_GROUPS = "How accurate it is for groups of people is not known: colega evaluate --collection C --groups FILE.csv."
