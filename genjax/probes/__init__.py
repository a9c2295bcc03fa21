"""Probes: functions (key, state) -> {name: number, picture, text or table}, and their pictures.

averages          snapshots: files of the averages of parameters
codebook          codebook_probe: how much of a codebook the codes of a set use
codes             code_accuracy, scatter: codes by their labels
conditional       label_accuracy, guidance_table: whether samples are of the class asked for
convergence       convergence: how errors fall with what is spent
decoded           reconstructions, interpolations, manifold: pictures of what codes decode to
densities         densities: a learnt density in the plane beside the data's
fidelity          comparison, fidelity_scores, fidelity_pictures: samples beside real examples
fidelity_figures  pictures of class shares, and of the bias of scores
fidelity_table    score_table: scores as text
fields            covered_modes, landscape: samples in the plane
figures           grid, side_by_side, film, strip: pictures of samples; tile, to_pixels, render
jumps             map_errors, step_errors, steps_table: what few steps of a flow map cost
likelihood        importance, bound_table: test likelihoods and bounds
plane             estimate_fields, ways, clouds: pictures of diffusion in the plane
texts             bits_per_character, text_table: scores and samples of texts
word_figures      pictures and tables of word vectors
words             scores, pictures and files of word vectors, and answers to questions
"""
