"""Data sets as `base.Data`: batches that are a pure function of (seed, step), and fixed test sets.

images, text, words    sets from files, a folder each
resident               arrays on the device: resident, seeded, fingerprint, with_fingerprints
batches                records on the host, by grain: shuffled, ordered
derived                sets made of sets: derived, vectors, pictures, stacked, binarized
progress               a line that says how far a long reading has come
tables                 rows of numbers: table
toys                   known distributions: sampled, of gaussian_mixture, categorical or constant

Nothing is imported here, since what reads from the host alone does without jax.
"""
