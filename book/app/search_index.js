// mdBook's search index, unpacked from a form of a third of its size: each field's words, a
// line each, with the sections that have them, and how often if that is not once.
const unpack = (search) => {
    const tree = (words) => {
        const root = { docs: {}, df: 0 };
        for (const line of words.split("\n")) {
            const [word, ...sections] = line.split(" ");
            let node = root;
            for (const char of word) node = node[char] ??= { docs: {}, df: 0 };
            node.df = sections.length;
            for (const section of sections) {
                const [at, frequency] = section.split(":");
                node.docs[at] = { tf: Number(frequency ?? 1) };
            }
        }
        return { root };
    };
    const fields = search.index.index;
    for (const field in fields) fields[field] = tree(fields[field]);
    return search;
};
