// mdBook's search index, unpacked from a form of a third of its size: each field's words, a
// line each, with the sections that have them (the distances between these, in base 36), and how often
// if that is not once; each section's texts without their names.
const unpack = (search) => {
    const tree = (words) => {
        const root = { docs: {}, df: 0 };
        for (const line of words.split("\n")) {
            const [word, ...sections] = line.split(" ");
            let node = root;
            for (const char of word) node = node[char] ??= { docs: {}, df: 0 };
            node.df = sections.length;
            let at = 0;
            for (const section of sections) {
                const [distance, frequency] = section.split(":");
                at += parseInt(distance, 36);
                node.docs[at] = { tf: Number(frequency ?? 1) };
            }
        }
        return { root };
    };
    const store = search.index.documentStore;
    for (const all of [store.docs, store.docInfo]) {
        for (const id in all) {
            const [body, breadcrumbs, title] = all[id];
            all[id] = { id, body, breadcrumbs, title };
        }
    }
    const fields = search.index.index;
    for (const field in fields) fields[field] = tree(fields[field]);
    return search;
};
