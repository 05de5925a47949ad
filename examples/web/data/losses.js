/** What the labels of a loss say: the number of a class, or whether each thing is so; of all others they are numbers. */

export const OF_CLASSES = new Set(['cross-entropy', 'focal', 'hinge']);
export const YES_OR_NO = new Set(['bce-with-logits']);
