"""Puts faults into a copy of the tree, one at a time, and checks that the tests catch each.

    python -m tests.programs.mutations [WORD ...]

The words choose faults by their descriptions; without any, all are tried. A fault counts as caught
where the quick test that is named for it passes in the sound copy and fails in the faulty one by an
assertion of its own, not by an error such as a NameError. The exit code is the number of faults
that were not caught.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]

# How a failure that pytest reports begins where the test itself denies something.
ASSERTIONS = ('AssertionError', 'assert ', 'Failed: DID NOT RAISE')


class Fault(NamedTuple):
    """One fault: in `file`, `right` is replaced by `wrong`, and `test` must fail."""

    description: str
    file: str
    right: str  # stands in the file exactly once
    wrong: str
    test: str  # below tests/


FAULTS = (
    # The spine.
    Fault(
        "the device's index is missing in the keys of examples under pmap",
        'genjax/parallel.py',
        'first = jax.lax.axis_index(AXIS) * n',
        'first = 0',
        'contracts/test_contracts.py::test_jit_and_pmap_agree_over_100_steps[vae]',
    ),
    Fault(
        'gradients are summed over devices in place of averaged',
        'genjax/parallel.py',
        'jax.lax.pmean(tree, AXIS)',
        'jax.lax.psum(tree, AXIS)',
        'contracts/test_contracts.py::test_jit_and_pmap_agree_over_100_steps[vae]',
    ),
    Fault(
        'every microbatch has the noise of the first',
        'genjax/parallel.py',
        'place[k + parts * jnp.arange(n)]',
        'place[parts * jnp.arange(n)]',
        'test_parallel.py::'
        'test_an_example_has_the_place_and_the_noise_of_one_batch_in_any_part[1-3]',
    ),
    Fault(
        "a flow's parameters begin with the key of what draws its noise",
        'genjax/algorithms/flow/normalizing_flow.py',
        'descent.init(bijection.init(params_key, noisy(noise_key, batch)))',
        'descent.init(bijection.init(key, noisy(noise_key, batch)))',
        'contracts/test_contracts.py::test_an_algorithm_spends_no_key_twice[normalizing_flow]',
    ),
    Fault(
        'gradients are summed over microbatches in place of averaged',
        'genjax/descent.py',
        'x / microbatches',
        'x / 1',
        'test_descent.py::test_microbatches_are_one_batch_within_rounding[2]',
    ),
    Fault(
        'a run begins with the parameters of another in place of their average',
        'genjax/weights/states.py',
        "KINDS = ('average', 'params')",
        "KINDS = ('params', 'average')",
        'weights/test_states.py::test_a_state_begins_with_the_average_and_anew_in_all_else',
    ),
    Fault(
        'the levels of diffusers are counted from the finest on the way up',
        'genjax/weights/diffusers_unet.py',
        "levels - 1 - numbers['level']",
        "numbers['level']",
        'weights/test_diffusers_unet.py::test_the_names_are_those_of_the_published_checkpoint',
    ),
    Fault(
        "the derivative in MeanFlow's target has the wrong sign",
        'genjax/algorithms/diffusion/flow_maps/objectives.py',
        'stop_gradient(slope + scaled(r - t, derivative))',
        'stop_gradient(slope - scaled(r - t, derivative))',
        'algorithms/diffusion/flow_maps/test_objectives.py'
        '::test_the_eulerian_error_is_mean_flows_with_its_own_velocity',
    ),
    Fault(
        'the derivative in time of the Eulerian loss is stopped',
        'genjax/algorithms/diffusion/flow_maps/objectives.py',
        'return u - scaled(r - t, in_time), ',
        'return u - scaled(r - t, stop_gradient(in_time)), ',
        'algorithms/diffusion/flow_maps/test_objectives.py'
        '::test_the_eulerian_gradient_goes_through_the_derivative_in_time',
    ),
    Fault(
        'a slope is guided where training hides the label',
        'genjax/algorithms/diffusion/flow_maps/flow_maps.py',
        'jax.vmap(jnp.where)(hidden, slope, led)',
        'led',
        'algorithms/diffusion/flow_maps/test_flow_maps.py::test_the_guided_slope_is_the_papers',
    ),
    Fault(
        'the average of the parameters lags one step behind',
        'genjax/descent.py',
        'move(decay, state.updates, state.average, params)',
        'move(decay, state.updates, state.average, state.params)',
        'test_descent.py::test_the_average_equals_its_closed_form',
    ),
    Fault(
        'a decay begins without its warm-up',
        'genjax/averages.py',
        'return jnp.maximum(1 - decay, 9 / (10 + n))',
        'return 1 - decay + 0 * n',
        'test_averages.py::test_warm_up_is_its_closed_form_and_ends_where_the_decay_is_reached',
    ),
    Fault(
        'the half-life of an average has no ramp',
        'genjax/averages.py',
        'longest if ramp is None else jnp.minimum(longest, ramp * n)',
        'longest + 0 * n',
        'test_averages.py::test_a_half_life_begins_at_a_share_of_the_examples_seen',
    ),
    Fault(
        'a power average has the exponent of its profile in place of one more',
        'genjax/averages.py',
        '(gamma + 1) * jnp.log1p',
        'gamma * jnp.log1p',
        'test_averages.py::test_power_weights_are_the_integrals_of_the_profile[6.94]',
    ),
    Fault(
        'the product of two profiles goes on to the end of the later one',
        'genjax/averages.py',
        'end = np.minimum(t, s)',
        'end = np.maximum(t, s)',
        'test_averages.py::test_inner_products_of_profiles_are_their_integrals',
    ),
    Fault(
        'a new state lets the compiler make one rounding of two',
        'genjax/training/needed.py',
        'wave_of[var] + jnp.issubdtype(var.aval.dtype, jnp.inexact)',
        'wave_of[var]',
        'training/test_needed.py::test_the_compiler_rounds_no_two_operations_at_once[waves]',
    ),
    Fault(
        'the average of the parameters is not restored on resume',
        'genjax/training/state.py',
        'return step, state, Tally(**tally)',
        'return step, state._replace(average=jax.tree.map(jnp.copy, state.params)), Tally(**tally)',
        'training/test_train.py::test_resume_is_exact_to_the_bit',
    ),
    Fault(
        'the sums of the logging interval are not restored on resume',
        'genjax/training/state.py',
        'return step, state, Tally(**tally)',
        'return step, state, Tally()',
        'training/test_train.py::test_an_interrupted_run_saves_where_it_is_and_goes_on_to_the_bit',
    ),
    Fault(
        'the key of a step depends on its place in the compiled call',
        'genjax/training/loop.py',
        'update(jax.random.fold_in(key, step + i), state, batch)',
        'update(jax.random.fold_in(key, i), state, batch)',
        'training/test_train.py::test_steps_in_a_call_do_not_matter',
    ),
    Fault(
        'resident data are shifted by one step',
        'genjax/training/loop.py',
        'make_batch(raw, step + i)',
        'make_batch(raw, step + i + 1)',
        'training/test_train.py::test_train_is_the_fold_of_its_definition',
    ),
    Fault(
        'streamed data are shifted by one batch on resume',
        'genjax/training/feed.py',
        'feed.stream(start)',
        'feed.stream(start + (start > 0))',
        'training/test_train.py::test_host_data_go_on_from_where_a_run_stopped',
    ),
    Fault(
        'what pads the last test batch is counted in its mean',
        'genjax/training/evaluation.py',
        'np.asarray(array)[:length].sum',
        'np.asarray(array).sum',
        'training/test_train.py::test_evaluation_is_the_exact_mean_over_the_test_set',
    ),
    Fault(
        'a loss that is infinite is not seen',
        'genjax/training/observe.py',
        'if not math.isfinite(value):',
        'if math.isnan(value):',
        'training/test_train.py'
        '::test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_metric',
    ),
    Fault(
        'a state is saved without a look for NaN',
        'genjax/training/observe.py',
        'strict=True) if nan\n    ]',
        'strict=True) if nan and call.step < 0\n    ]',
        'training/test_train.py::test_a_state_with_a_nan_is_never_saved',
    ),
    Fault(
        "a checkpoint's digest is not compared",
        'genjax/training/checkpoint.py',
        '_, why = _attempt(lambda: _compare(digest(tree), record.leaves))',
        'why = None',
        'training/test_checkpoint.py::test_a_bit_flipped_anywhere_is_noticed_or_changes_nothing',
    ),
    Fault(
        'a resumed run leaves the lines of later steps, and writes them again',
        'genjax/training/report.py',
        'if _step_of(line) <= step]',
        'if _step_of(line) <= step + 10]',
        'training/test_train.py::test_lines_after_the_checkpoint_are_written_again_not_twice',
    ),
    Fault(
        'a resumed run drops the line of the very step it goes on from',
        'genjax/training/report.py',
        'if _step_of(line) <= step]',
        'if _step_of(line) < step]',
        'training/test_train.py::test_lines_after_the_checkpoint_are_written_again_not_twice',
    ),
    Fault(
        'replicas share one key',
        'genjax/training/replicas.py',
        '(key, jnp.arange(n))',
        '(key, jnp.zeros(n, jnp.int32))',
        'training/test_replicas.py::test_each_copy_is_the_run_that_spends_its_keys_alone',
    ),
    Fault(
        "runs trained together share the first one's keys",
        'genjax/training/joint.py',
        'return fold_in(keys, step), ',
        'return fold_in(jnp.broadcast_to(keys[0], keys.shape), step), ',
        'training/test_seeds.py::test_each_run_is_what_it_is_alone[1]',
    ),
    # Data.
    Fault(
        'resident data come in one order, whatever the seed',
        'genjax/data/resident.py',
        'jax.random.fold_in(jax.random.key(seed), ORDER)',
        'jax.random.fold_in(jax.random.key(0), ORDER)',
        'data/test_resident.py::test_batches_are_rows_and_a_pure_function_of_seed_and_step',
    ),
    Fault(
        'the batches of an epoch overlap',
        'genjax/data/resident.py',
        'place * batch + jnp.arange(batch)',
        'place + jnp.arange(batch)',
        'data/test_resident.py::test_an_epoch_visits_distinct_examples_and_the_next_one_others',
    ),
    Fault(
        'streamed data come in one order, whatever the seed',
        'genjax/data/batches.py',
        '.seed(seed)',
        '.seed(0)',
        'data/test_batches.py::test_order_depends_on_the_seed_alone',
    ),
    Fault(
        'a colour that stands for clear is read as opaque',
        'genjax/data/images/pixels.py',
        "image.mode == MODES[shape[2]] and 'transparency' not in image.info",
        'image.mode == MODES[shape[2]]',
        'data/images/test_pixels.py'
        '::test_every_png_gives_the_levels_of_its_specification_in_the_channels_declared',
    ),
    Fault(
        'colours of 16 bits are cut to 8',
        'genjax/data/images/pixels.py',
        "image.format == 'PNG' and content[DEPTH] == 16",
        "image.mode == 'I;16'",
        'data/images/test_pixels.py'
        '::test_what_would_lose_something_is_refused_by_name[RGB of 16 bits]',
    ),
    Fault(
        'of several processes each decodes the same images',
        'genjax/data/images/decoding.py',
        'starts[k::count]',
        'starts[0::count]',
        'data/images/test_decoding.py::test_processes_give_the_same_in_the_same_order[folder]',
    ),
    Fault(
        'images that another decoder left in the cache are used',
        'genjax/data/images/splits.py',
        'name, files, pixels.decoder_version()',
        'name, files',
        'data/images/test_cache.py::test_a_cache_of_another_decoder_is_not_used',
    ),
    # Diffusion.
    Fault(
        "the variances of the diffusion's posterior are one step off",
        'genjax/algorithms/diffusion/process.py',
        'beta = all_betas[1:]',
        'beta = all_betas[:-1]',
        'algorithms/diffusion/test_process.py::test_posterior_is_bayes_rule',
    ),
    Fault(
        'a diffusion trains on images of another shape than it draws',
        'genjax/algorithms/diffusion/ddpm.py',
        'if x.shape[1:] != shape:',
        'if x.ndim != 1 + len(shape):',
        'training/test_contract.py::test_data_of_another_shape_or_kind_are_refused[ddpm-train-0]',
    ),
    Fault(
        'the diffusion never trains on its last step',
        'genjax/algorithms/diffusion/ddpm.py',
        'jax.random.randint(key, (), 1, total + 1)',
        'jax.random.randint(key, (), 1, total)',
        'algorithms/diffusion/test_ddpm.py::test_evaluation_is_unbiased_and_its_loss_the_optimum',
    ),
    Fault(
        'the network is given t in place of t - 1',
        'genjax/algorithms/diffusion/ddpm.py',
        'jnp.asarray(t - 1, jnp.int32)',
        'jnp.asarray(t, jnp.int32)',
        'algorithms/diffusion/test_ddpm.py::test_network_is_given_t_minus_one',
    ),
    Fault(
        'the last step of the reverse chain adds noise',
        'genjax/algorithms/diffusion/samplers/reverse_chain.py',
        'np.sqrt(process.model_variance) * (np.arange(last_step(process) + 1) > 1)',
        'np.sqrt(process.model_variance)',
        'algorithms/diffusion/samplers/test_reverse_chain.py::test_it_follows_the_exact_recursion',
    ),
    Fault(
        'every step of the reverse chain adds the same noise',
        'genjax/algorithms/diffusion/samplers/reverse_chain.py',
        'noise_like(jax.random.fold_in(key, t), x)',
        'noise_like(key, x)',
        'algorithms/diffusion/samplers/test_reverse_chain.py::test_it_follows_the_exact_recursion',
    ),
    Fault(
        "Heun's method takes its second slope for one at the beginning of the step",
        'genjax/algorithms/diffusion/samplers/second_order.py',
        'ode_coefficients(path, end[:corrected])',
        'ode_coefficients(path, begin[:corrected])',
        'algorithms/diffusion/samplers/test_order.py'
        '::test_it_converges_at_its_order_on_a_mixture[heun]',
    ),
    Fault(
        'the variance-preserving path forgets the half of its integral',
        'genjax/algorithms/diffusion/paths.py',
        '(beta_max - beta_min) * t**2 / 2',
        '(beta_max - beta_min) * t**2',
        'algorithms/diffusion/test_paths.py'
        '::test_the_linear_schedule_comes_to_its_path_at_first_order',
    ),
    Fault(
        'a sign in v',
        'genjax/algorithms/diffusion/predictions.py',
        'return -path.sigma(t), path.alpha(t)',
        'return path.sigma(t), path.alpha(t)',
        'algorithms/diffusion/test_predictions.py::test_the_rows_are_the_papers_formulas',
    ),
    Fault(
        "EDM's network is given twice the logarithm of the noise level",
        'genjax/algorithms/diffusion/predictions.py',
        '-log_snr(path, t) / 8',
        '-log_snr(path, t) / 4',
        'algorithms/diffusion/test_predictions.py::test_edms_coefficients_are_those_of_its_table',
    ),
    Fault(
        'the loss of x_0 is not weighted by what an error of the prediction costs there',
        'genjax/algorithms/diffusion/denoiser.py',
        'ratio**2 * error',
        'error',
        'algorithms/diffusion/test_denoiser.py'
        '::test_the_loss_is_the_weighted_error_of_x0_whatever_is_predicted',
    ),
    Fault(
        'the loss of EDM takes the deviation of the data for its variance',
        'genjax/algorithms/diffusion/weights.py',
        '1 / data_deviation**2',
        '1 / data_deviation',
        'algorithms/diffusion/test_weights.py::test_it_is_the_error_of_a_prediction',
    ),
    Fault(
        'min-SNR takes the larger of the two',
        'genjax/algorithms/diffusion/weights.py',
        'jnp.minimum(jnp.exp(log_snr), gamma)',
        'jnp.maximum(jnp.exp(log_snr), gamma)',
        'algorithms/diffusion/test_weights.py::test_the_others_are_their_papers_formulas',
    ),
    Fault(
        'the variational bound counts the error of the noise twice',
        'genjax/algorithms/diffusion/weights.py',
        'return jnp.exp(log_snr) / 2\n',
        'return jnp.exp(log_snr)\n',
        'algorithms/diffusion/test_weights.py'
        '::test_the_bounds_weight_of_the_least_errors_gives_the_entropy',
    ),
    Fault(
        'a stratified batch draws each t by itself',
        'genjax/numerics/uniforms.py',
        'shares = (place.astype(within.dtype) + within) / total',
        'shares = within',
        'numerics/test_uniforms.py::test_a_batch_has_one_share_in_each_part',
    ),
    Fault(
        'the density of a log-normal noise level lacks the slope of its logarithm',
        'genjax/algorithms/diffusion/times.py',
        'norm.logpdf(-half, mean, deviation) + jnp.log(slope)',
        'norm.logpdf(-half, mean, deviation) + 0 * slope',
        'algorithms/diffusion/test_times.py::test_the_density_of_a_law_is_that_of_its_quantiles',
    ),
    Fault(
        "EDM's noise levels are even themselves",
        'genjax/algorithms/diffusion/times.py',
        'np.linspace(highest, lowest, steps) ** rho',
        'np.linspace(highest**rho, lowest**rho, steps)',
        'algorithms/diffusion/test_times.py::test_karras_times_are_equation_5',
    ),
    Fault(
        'DDIM scales the variance of its noise by eta, not the deviation',
        'genjax/algorithms/diffusion/samplers/single_step.py',
        '(eta * sigma[1:]) ** 2',
        'eta * sigma[1:] ** 2',
        'algorithms/diffusion/samplers/test_single_step.py'
        '::test_ddim_keeps_the_marginals_and_eta_scales_the_deviation',
    ),
    Fault(
        'the reverse SDE has the drift of the probability flow',
        'genjax/algorithms/diffusion/samplers/single_step.py',
        'base = 1 + width * (x_slope + rate / 2)',
        'base = 1 + width * x_slope',
        'algorithms/diffusion/samplers/test_order.py'
        '::test_stochastic_samplers_come_to_the_reverse_sde_at_first_order',
    ),
    Fault(
        "a multistep sampler has half of its polynomial's quadratic term, as the "
        'code of DPM-Solver++',
        'genjax/algorithms/diffusion/samplers/multistep.py',
        'integrals.append(width**j - j * integrals[-1])',
        'integrals.append((width**j - j * integrals[-1]) / j)',
        'algorithms/diffusion/samplers/test_order.py'
        '::test_it_converges_at_its_order_on_a_mixture[3M]',
    ),
    Fault(
        'UniPC does not correct its steps',
        'genjax/algorithms/diffusion/samplers/multistep.py',
        'anchor[1:, 2:] = corrector[:-1]',
        'anchor[1:, 3:] = predictor[:-1]',
        'algorithms/diffusion/samplers/test_order.py'
        '::test_it_converges_at_its_order_on_a_mixture[UniPC-2]',
    ),
    Fault(
        'churn adds the noise of the difference of deviations',
        'genjax/algorithms/diffusion/samplers/second_order.py',
        'np.sqrt(raised**2 - level**2)',
        '(raised - level)',
        'algorithms/diffusion/samplers/test_order.py'
        '::test_churn_keeps_the_variance_that_its_recursion_says',
    ),
    Fault(
        'guidance leads away by its scale, not by the scale less 1',
        'genjax/algorithms/diffusion/guidance.py',
        '(scale - 1) * (ours - reference)',
        'scale * (ours - reference)',
        'algorithms/diffusion/test_guidance.py::test_a_scale_of_nought_is_the_reference',
    ),
    Fault(
        'guidance has no upper end of its interval',
        'genjax/algorithms/diffusion/guidance.py',
        '(least <= level) & (level <= most)',
        'least <= level',
        'algorithms/diffusion/test_guidance.py'
        '::test_outside_of_its_interval_nothing_changes_to_the_bit',
    ),
    Fault(
        'guidance leads away from the model with the same labels',
        'genjax/algorithms/diffusion/denoiser.py',
        'jnp.full_like(label, model.classes)',
        'label',
        'algorithms/diffusion/test_denoiser.py'
        '::test_samples_have_labels_and_guidance_leads_away_from_none',
    ),
    Fault(
        'a denoiser never hides its labels',
        'genjax/algorithms/diffusion/conditions.py',
        'jax.random.uniform(key) < share',
        'jax.random.uniform(key) < 0.0',
        'algorithms/diffusion/test_denoiser.py::test_training_hides_labels_and_evaluation_does_not',
    ),
    Fault(
        'the decoder of the bound knows no levels but the right one',
        'genjax/algorithms/diffusion/continuous_bound.py',
        'jnp.where(exists, ',
        'jnp.where(exists & (offset == 0), ',
        'algorithms/diffusion/test_continuous_bound.py'
        '::test_the_decoder_is_the_normalised_likelihood_of_all_levels',
    ),
    Fault(
        'the density of the flow is integrated in the wrong direction',
        'genjax/algorithms/diffusion/ode_likelihood.py',
        'return integral + normal_log_density',
        'return -integral + normal_log_density',
        'algorithms/diffusion/test_ode_likelihood.py'
        '::test_on_a_mixture_it_is_the_density_in_the_right_direction',
    ),
    Fault(
        'the divergence of the flow counts the scale of x once for all entries',
        'genjax/algorithms/diffusion/ode_likelihood.py',
        'x_coef * size + x0_coef * x0_trace',
        'x_coef + x0_coef * x0_trace',
        'algorithms/diffusion/test_ode_likelihood.py'
        '::test_on_a_mixture_it_is_the_density_in_the_right_direction',
    ),
    Fault(
        'the noise that dequantises is counted without its square',
        'genjax/algorithms/diffusion/ode_likelihood.py',
        'math.log(2 * math.pi * math.e * sigma**2)',
        'math.log(2 * math.pi * sigma**2)',
        'algorithms/diffusion/test_ode_likelihood.py'
        '::test_with_the_exact_denoiser_the_bits_are_the_entropy_of_the_data',
    ),
    Fault(
        'the bound with learned variances teaches the mean too',
        'genjax/algorithms/diffusion/learned_variance.py',
        'noise = jax.lax.stop_gradient(reverse.noise)',
        'noise = reverse.noise',
        'algorithms/diffusion/test_learned_variance.py'
        '::test_the_bound_teaches_the_variance_alone_and_the_noise_error_the_mean_alone',
    ),
    Fault(
        'a learned variance is taken for a deviation',
        'genjax/algorithms/diffusion/learned_variance.py',
        '(share * most + (1 - share) * least) / 2',
        'share * most + (1 - share) * least',
        'algorithms/diffusion/test_learned_variance.py'
        '::test_a_step_has_the_learned_variance_and_the_last_has_none',
    ),
    Fault(
        'a learned variance lies between the fixed ones, not their logarithms',
        'genjax/algorithms/diffusion/learned_variance.py',
        'return share * at(log_larger, t) + (1 - share) * at(log_smaller, t)',
        'return jnp.log(\n        share * at(process.beta, t) + (1 - share) * '
        'at(np.exp(log_smaller), t)\n    )',
        'algorithms/diffusion/test_learned_variance.py'
        '::test_the_middle_of_the_range_is_the_geometric_mean_and_nothing_ends_at_it',
    ),
    Fault(
        'attention does not scale its logits',
        'genjax/networks/attention.py',
        'logits = logits / math.sqrt(C // heads)',
        'logits = logits * 1.0',
        'networks/test_unet.py::test_attention_is_the_formula',
    ),
    Fault(
        'dropout does not keep the mean',
        'genjax/networks/dropout.py',
        'jnp.where(mask, x * (2**32 / (2**32 - threshold)), 0)',
        'jnp.where(mask, x, 0)',
        'networks/test_dropout.py::test_it_keeps_the_mean_and_drops_the_share',
    ),
    Fault(
        'a norm forgets to subtract the square of the mean',
        'genjax/networks/group_norm.py',
        ' - jnp.square(mean)',
        '',
        'networks/test_group_norm.py::test_it_is_flax_norm_and_silu_in_float64',
    ),
    # Normalizing flows.
    Fault(
        "a coupling's log-determinant has the wrong sign",
        'genjax/algorithms/flow/couplings.py',
        'jnp.exp(log_scale) + shift, jnp.sum(',
        'jnp.exp(log_scale) + shift, -jnp.sum(',
        'algorithms/flow/test_bijections.py::'
        'test_it_inverts_and_its_log_determinant_is_the_jacobians[coupling of rows]',
    ),
    Fault(
        'the log-determinant of a 1 x 1 convolution is that of one pixel',
        'genjax/algorithms/flow/couplings.py',
        "places * jnp.sum(params['log_scale'])",
        "jnp.sum(params['log_scale'])",
        'algorithms/flow/test_bijections.py::'
        'test_it_inverts_and_its_log_determinant_is_the_jacobians[1x1]',
    ),
    Fault(
        'actnorm begins with the variance in place of the deviation',
        'genjax/algorithms/flow/couplings.py',
        '-jnp.log(variance) / 2',
        '-jnp.log(variance)',
        'algorithms/flow/test_bijections.py::'
        'test_actnorm_begins_with_mean_0_and_deviation_1_wherever_it_stands',
    ),
    Fault(
        'a token of a flow is given itself',
        'genjax/algorithms/flow/tokens.py',
        'jnp.concatenate([first, outputs[:, :-1]], 1)',
        'outputs',
        'algorithms/flow/test_bijections.py::test_a_flow_of_tokens_has_a_triangular_jacobian',
    ),
    Fault(
        "quantiles begin at the level's end in place of its beginning",
        'genjax/algorithms/flow/bijections.py',
        'below = np.cumsum(shares, 0) - shares',
        'below = np.cumsum(shares, 0)',
        'algorithms/flow/test_bijections.py::'
        'test_it_inverts_and_its_log_determinant_is_the_jacobians[marginally normal]',
    ),
    Fault(
        'the density of a level is its share, whatever its width',
        'genjax/algorithms/flow/bijections.py',
        'jnp.log(share) - np.log(width) - jax',
        'jnp.log(share) - jax',
        'algorithms/flow/test_bijections.py::'
        'test_it_inverts_and_its_log_determinant_is_the_jacobians[marginally normal]',
    ),
    Fault(
        'a noisy sample is moved by the deviation times the score',
        'genjax/algorithms/flow/noise.py',
        'deviation**2 * score(y)',
        'deviation * score(y)',
        'algorithms/flow/test_normalizing_flow.py::'
        'test_the_step_along_the_score_is_the_posterior_mean_of_gaussian_data',
    ),
    Fault(
        'bits/dim are multiplied by the width of a level',
        'genjax/algorithms/flow/normalizing_flow.py',
        'loss / size - math.log',
        'loss / size + math.log',
        'algorithms/flow/test_normalizing_flow.py::'
        'test_uniform_noise_and_its_bits_are_those_of_the_levels',
    ),
    # Variational autoencoders and autoencoders.
    Fault(
        'a sign in the KL divergence',
        'genjax/algorithms/vae/model.py',
        'jnp.expm1(q.log_variance) - q.log_variance)',
        'jnp.expm1(q.log_variance) + q.log_variance)',
        'algorithms/vae/test_vae.py::'
        'test_kl_is_its_closed_form_its_integral_and_its_monte_carlo_mean',
    ),
    Fault(
        'the importance weighted bound is a sum in place of a mean',
        'genjax/algorithms/vae/bounds.py',
        'jax.nn.logsumexp(weights, axis=0) - np.log(samples)',
        'jax.nn.logsumexp(weights, axis=0)',
        'algorithms/vae/test_vae.py::test_under_the_exact_posterior_every_weight_is_the_likelihood',
    ),
    Fault(
        'importance weights are added without the largest taken off',
        'genjax/algorithms/vae/bounds.py',
        'top = jnp.maximum(largest, jnp.max(weights, 0))',
        'top = jnp.zeros_like(largest)',
        'algorithms/vae/test_vae.py::test_a_likelihood_below_the_least_float_has_a_logarithm',
    ),
    Fault(
        'samples spend one key on codes and outputs',
        'genjax/algorithms/vae/model.py',
        'example_keys(outputs_key, n)',
        'example_keys(latents_key, n)',
        'algorithms/vae/test_vae.py::'
        'test_samples_have_the_models_moments_and_codes_go_there_and_back',
    ),
    Fault(
        'the log-determinant of a posterior by a flow is added to its density',
        'genjax/algorithms/vae/model.py',
        'log_normal - draw.log_det',
        'log_normal + draw.log_det',
        'algorithms/vae/test_model.py::test_log_q_of_a_flow_is_the_gaussians_less_its_jacobian',
    ),
    Fault(
        'weights leave out the log-determinant of the flow',
        'genjax/algorithms/vae/model.py',
        'ratio + draw.log_det',
        'ratio',
        'algorithms/vae/test_model.py::test_log_q_of_a_flow_is_the_gaussians_less_its_jacobian',
    ),
    Fault(
        'the VampPrior is a sum in place of a mean',
        'genjax/algorithms/vae/priors.py',
        'logsumexp(log_normals, axis=1) - np.log(count)',
        'logsumexp(log_normals, axis=1)',
        'algorithms/vae/test_priors.py::'
        'test_the_vamp_prior_is_the_mean_of_its_pseudo_inputs_posteriors',
    ),
    Fault(
        'a second layer leaves out the density that the first is drawn from',
        'genjax/algorithms/vae/priors.py',
        'jax.vmap(one_draw_each)(keys, draw.z) - log_q(draw)',
        'jax.vmap(one_draw_each)(keys, draw.z)',
        'algorithms/vae/test_priors.py::'
        'test_under_exact_posteriors_of_both_layers_every_weight_is_the_likelihood',
    ),
    Fault(
        'all draws of the upper layer have one noise',
        'genjax/algorithms/vae/priors.py',
        'keys = jax.random.split(key, len(draw.z))',
        'keys = jnp.broadcast_to(key, (len(draw.z),))',
        'algorithms/vae/test_priors.py::test_bounds_of_two_layers_rise_to_the_likelihood',
    ),
    Fault(
        'a denoising autoencoder is compared with what was corrupted',
        'genjax/algorithms/autoencoder.py',
        '    corrupted = x if corrupt is None else '
        'jax.vmap(corrupt)(example_keys(key, len(x)), x)\n'
        '    h = apply_encoder(model, params, corrupted)',
        '    x = x if corrupt is None else jax.vmap(corrupt)(example_keys(key, len(x)), x)\n'
        '    h = apply_encoder(model, params, x)',
        'algorithms/test_autoencoder.py::test_the_loss_compares_with_the_clean_example',
    ),
    Fault(
        'the moments of codes are an average without its bias corrected',
        'genjax/algorithms/autoencoder.py',
        'rate = 1 / weight',
        'rate = max(1 - memory, 1e-3)',
        'algorithms/test_autoencoder.py'
        '::test_moments_are_weighted_means_over_the_batches_even_far_from_0',
    ),
    # Adversaries.
    Fault(
        'the penalty R1 is taken at generated examples',
        'genjax/algorithms/gan/penalties.py',
        'return _squared_gradients(gamma, critic, real)',
        'return _squared_gradients(gamma, critic, fake)',
        'algorithms/gan/test_penalties.py'
        '::test_penalties_and_their_gradients_are_those_of_finite_differences',
    ),
    Fault(
        'the gradient penalty is taken at real examples alone',
        'genjax/algorithms/gan/penalties.py',
        'return share * real + (1 - share) * fake',
        'return real',
        'algorithms/gan/test_penalties.py'
        '::test_the_gradient_penalty_is_taken_everywhere_between_and_holds_where_a_critic_is_flat',
    ),
    Fault(
        'the generator answers the discriminator of a step ago',
        'genjax/algorithms/gan/gan.py',
        'newest = State(state.generator, discriminator)',
        'newest = state',
        'algorithms/gan/test_optima.py'
        '::test_the_discriminator_steps_first_on_its_rows_and_the_generator_answers_the_new_one',
    ),
    Fault(
        'every step of the discriminator draws the same noise',
        'genjax/algorithms/gan/gan.py',
        'jax.random.split(discriminator_key, steps), shares)',
        'jnp.broadcast_to(discriminator_key, (steps,)), shares)',
        'algorithms/gan/test_gan.py::test_every_step_draws_latents_of_its_own',
    ),
    # Words.
    Fault(
        'one negative is dropped',
        'genjax/algorithms/word2vec/outputs.py',
        'hidden, noise)).sum(-1)',
        'hidden, noise[:, 1:])).sum(-1)',
        'algorithms/word2vec/test_word2vec.py'
        '::test_shared_negatives_have_the_expected_gradient_of_negatives_for_each_pair',
    ),
    Fault(
        'noise words are drawn without the power 0.75',
        'genjax/algorithms/word2vec/outputs.py',
        'alias_table(counts**power)',
        'alias_table(counts)',
        'algorithms/word2vec/test_outputs.py::test_noise_words_are_drawn_by_their_power',
    ),
    Fault(
        "subsampling forgets the second term of word2vec.c's threshold",
        'genjax/algorithms/word2vec/word2vec.py',
        'np.sqrt(ratio) + ratio)',
        'np.sqrt(ratio))',
        'algorithms/word2vec/test_word2vec.py::test_subsampling_keeps_what_word2vec_c_keeps',
    ),
    Fault(
        "the curvatures of a repeated word's steps are not added up",
        'genjax/algorithms/word2vec/steps.py',
        'jnp.zeros(buckets).at[which].add(',
        'jnp.zeros(buckets).at[which].max(',
        'algorithms/word2vec/test_word2vec.py'
        '::test_a_stable_step_is_that_of_the_definition_times_the_share_of_its_row',
    ),
    Fault(
        'windows never reach their full width',
        'genjax/algorithms/word2vec/windows.py',
        'words.shape, 1, window + 1)',
        'words.shape, 1, window)',
        'algorithms/word2vec/test_windows.py'
        '::test_windows_are_drawn_evenly_and_occurrences_kept_by_their_probability',
    ),
    Fault(
        'the hash of an n-gram extends no sign',
        'genjax/data/words/subwords.py',
        'text.astype(np.int8).astype(np.uint32)',
        'text.astype(np.uint32)',
        'data/words/test_subwords.py::test_ngrams_are_those_of_a_plain_loop[3-6]',
    ),
    Fault(
        'a sub-word belongs to the word before',
        'genjax/algorithms/word2vec/subwords.py',
        "side='right'",
        "side='left'",
        'algorithms/word2vec/test_subwords.py'
        '::test_a_words_vector_is_the_sum_or_mean_of_its_rows[7]',
    ),
    Fault(
        'the curvature of a sum of sub-words is that of one',
        'genjax/algorithms/word2vec/subwords.py',
        'jnp.asarray(parts.weights * parts.counts)',
        'jnp.asarray(parts.weights)',
        'algorithms/word2vec/test_subwords.py'
        '::test_a_rows_curvature_is_that_of_all_words_that_have_it',
    ),
    Fault(
        'mutual information lacks its shift by log k',
        'genjax/algorithms/cooccurrence/association.py',
        ' - expected - math.log(shift)',
        ' - expected',
        'algorithms/test_cooccurrence.py::test_pmi_equals_its_definition',
    ),
    Fault(
        'an analogy may be answered by a word of its question',
        'genjax/metrics/analogies.py',
        'given[:, i, None], -jnp.inf, scores)',
        'given[:, i, None], scores, scores)',
        'metrics/test_analogies.py'
        '::test_a_question_word_is_no_answer_and_the_earlier_word_wins_a_tie',
    ),
    # Counting and expectation-maximisation.
    Fault(
        'smoothed n-grams do not sum to one',
        'genjax/algorithms/ngram/smoothing.py',
        'mass = total + k * outcomes',
        'mass = total + k * (outcomes - 1)',
        'algorithms/test_ngram.py'
        '::test_probabilities_are_the_textbooks_for_every_context_seen_or_not_and_sum_to_one',
    ),
    Fault(
        'a causal model sees the words after it',
        'genjax/algorithms/autoregressive.py',
        'mask = jnp.tril(',
        'mask = jnp.triu(',
        'algorithms/test_autoregressive.py::test_the_probabilities_of_all_texts_sum_to_one',
    ),
    Fault(
        'the bound of masked diffusion does not divide by the share that is hidden',
        'genjax/algorithms/masked_diffusion/bounds.py',
        'return share, slope / share',
        'return share, slope',
        'algorithms/masked_diffusion/test_bounds.py'
        '::test_with_exact_conditionals_it_is_minus_log_p_of_every_text[linear]',
    ),
    Fault(
        'a step of masked diffusion draws again what was shown before',
        'genjax/algorithms/masked_diffusion/samplers.py',
        'now = (ids == symbols) & show(',
        'now = show(',
        'algorithms/masked_diffusion/test_samplers.py::test_what_was_shown_or_given_stays',
    ),
    Fault(
        "the two terms of VQ-VAE's loss have each other's weight",
        'genjax/algorithms/discrete_codes/vq.py',
        'return Quantised(code, index, to_features + commitment * to_vectors)',
        'return Quantised(code, index, to_vectors + commitment * to_features)',
        'algorithms/discrete_codes/test_vq.py'
        '::test_the_two_terms_have_their_gradients_where_they_belong',
    ),
    Fault(
        'an even number of levels is squashed as an odd one',
        'genjax/algorithms/discrete_codes/fsq.py',
        'np.where(levels % 2 == 0, 0.5, 0.0)',
        'np.where(levels % 2 == 0, 0.0, 0.0)',
        'algorithms/discrete_codes/test_fsq.py::test_features_that_spread_use_every_code',
    ),
    Fault(
        'a text of symbols hidden by their number weighs as if all were hidden',
        'genjax/algorithms/masked_diffusion/bounds.py',
        'number / count',
        'number / number',
        'algorithms/masked_diffusion/test_bounds.py'
        '::test_by_number_exactly_so_many_are_hidden_and_weigh_as_the_rest_of_them',
    ),
    Fault(
        'the prior of codes is trained from the first step on, in place of the autoencoder',
        'genjax/algorithms/discrete_codes/prior.py',
        'first = state.updates < steps',
        'first = state.updates >= steps',
        'algorithms/discrete_codes/test_prior.py::test_each_part_becomes_what_it_is_by_itself',
    ),
    Fault(
        'the bound of an autoencoder with a prior leaves out the nats of its codes',
        'genjax/algorithms/discrete_codes/prior.py',
        "of_codes['loss'] + of_prior['nats']",
        "of_codes['loss'] + 0 * of_prior['nats']",
        'algorithms/discrete_codes/test_prior.py'
        '::test_samples_are_what_codes_of_the_prior_decode_to',
    ),
    Fault(
        'a key that finds no room in a table is lost without a word',
        'genjax/counting.py',
        'counts.lost | wrapped | (size > capacity)',
        'counts.lost | wrapped',
        'test_counting.py::test_one_key_too_many_is_seen_then_and_ever_after',
    ),
    Fault(
        'the prior of naive Bayes is left out of the total',
        'genjax/algorithms/naive_bayes/counts.py',
        'total = jnp.sum(whole, -1, keepdims=True)',
        'total = jnp.sum(counts.astype(jnp.float32), -1, keepdims=True)',
        'algorithms/test_naive_bayes.py::test_the_posterior_mean_is_the_integral_of_bayes_rule',
    ),
    Fault(
        'naive Bayes scores at evaluation what training refuses',
        'genjax/algorithms/naive_bayes/validity.py',
        'jnp.where(bad, jnp.inf, values)',
        'values',
        'algorithms/test_naive_bayes.py'
        '::test_what_training_refuses_is_no_score_at_evaluation[bernoulli]',
    ),
    Fault(
        'EM of a hidden Markov model forgets the prior of transitions',
        'genjax/algorithms/hmm/hmm.py',
        'normalise(sums.transition + pseudocount, ',
        'normalise(sums.transition, ',
        'algorithms/test_hmm.py::test_with_pseudocounts_it_is_the_posterior_that_never_falls',
    ),
    Fault(
        "a hidden Markov model's backward pass is shifted by one place",
        'genjax/algorithms/hmm/inference.py',
        'log_a.T, log_b[::-1])[::-1]',
        'log_a.T, jnp.roll(log_b[::-1], 1, 0))[::-1]',
        'algorithms/test_hmm.py::test_passes_equal_the_sum_over_all_paths',
    ),
    Fault(
        'log-sum-exp of a mixture without the largest taken off',
        'genjax/algorithms/mixture/em.py',
        'largest = jnp.max(values, 1, keepdims=True)',
        'largest = 0 * jnp.max(values, 1, keepdims=True)',
        'algorithms/test_mixture.py::test_a_thousand_scales_away_the_likelihood_is_finite',
    ),
    Fault(
        "a mixture's covariances stay about the old means",
        'genjax/algorithms/mixture/em.py',
        'scatter += covariance.outer(weights, rest) - covariance.outer(weights, shift)',
        'scatter += covariance.outer(weights, rest)',
        'algorithms/test_mixture.py::test_it_is_scikit_learns_from_the_same_start',
    ),
    Fault(
        'a mixture whose covariances have the floor alone under them, whatever float32 resolves',
        'genjax/algorithms/mixture/covariances.py',
        'least = floor + resolved if floor > 0',
        'least = floor + 0 * resolved if floor > 0',
        'algorithms/test_mixture.py'
        '::test_with_the_default_floor_nothing_is_nan_and_the_likelihood_never_falls[full]',
    ),
    Fault(
        'a mixture whitens about one centre in place of each mean',
        'genjax/algorithms/mixture/covariances.py',
        "white = einsum('kcd,ked->kce', x[None] - means[:, None], inverses)",
        "white = einsum('cd,ked->kce', x, inverses) - einsum('kd,ked->ke', means, "
        'inverses)[:, None]',
        'algorithms/test_mixture.py'
        '::test_with_the_default_floor_nothing_is_nan_and_the_likelihood_never_falls[full]',
    ),
    Fault(
        "a hidden Markov model's sums stay in the coordinates of the old factors",
        'genjax/algorithms/hmm/gaussians.py',
        'restate(scatter) * zeroth',
        'scatter * zeroth',
        'algorithms/test_hmm.py::test_sums_of_points_are_weighted_by_the_steps_sizes',
    ),
    Fault(
        "a hidden Markov model's covariances have the floor alone under them, whatever "
        'float32 resolves',
        'genjax/algorithms/hmm/gaussians.py',
        'least = floor + RESOLUTION**2 * overall_variances(covariance, gaussians, weights)',
        'least = floor + 0 * overall_variances(covariance, gaussians, weights)',
        'algorithms/test_hmm.py'
        '::test_columns_that_determine_each_other_are_finite_and_the_likelihood_never_falls',
    ),
    Fault(
        'PCA does not centre its rows',
        'genjax/numerics/moments.py',
        'centred = x - mean[None]',
        'centred = x',
        'algorithms/test_pca.py::test_it_equals_scikit_learn',
    ),
    Fault(
        'the signs of principal directions are left to chance',
        'genjax/numerics/svd.py',
        'jnp.where(largest < 0, -directions, directions)',
        'jnp.where(largest < 0, directions, directions)',
        'algorithms/test_pca.py::test_codes_and_what_is_decoded_equal_scikit_learn',
    ),
    Fault(
        "PCA's noise is the total less the variances kept, rounded like the largest",
        'genjax/algorithms/pca/components.py',
        'rest = jnp.trace(deflate(covariance, directions))',
        'rest = jnp.trace(covariance) - jnp.sum(variances)',
        'algorithms/test_pca.py'
        '::test_the_loss_is_that_of_its_parameters_and_the_least_while_float32_resolves_the_spectrum',
    ),
    Fault(
        'one eigendecomposition finds variances of every size',
        'genjax/algorithms/pca/levels.py',
        'resolved = ~(variances < LEVEL * variances[0])',
        'resolved = ~(variances < -jnp.inf)',
        'algorithms/test_pca.py::test_whitened_codes_of_columns_of_any_scale_have_unit_covariance',
    ),
    # Measures.
    Fault(
        'variance over n in place of n - 1',
        'genjax/metrics/frechet.py',
        'max(len(features) - 1, 1)',
        'len(features)',
        'metrics/test_frechet.py::test_moments_of_parts_merge_to_those_of_the_whole',
    ),
    Fault(
        'the trace of FID takes no root',
        'genjax/metrics/frechet.py',
        'np.sqrt(values[-rank:].clip(0))',
        'values[-rank:].clip(0)',
        'metrics/test_frechet.py::test_it_is_the_formula_with_scipys_root',
    ),
    Fault(
        'KID compares examples with themselves',
        'genjax/metrics/kernel.py',
        '_sum_pairs(a, a, masks, masks) - diagonal @ masks',
        '_sum_pairs(a, a, masks, masks)',
        'metrics/test_kernel.py::test_the_mean_over_many_draws_of_one_distribution_is_zero',
    ),
    Fault(
        'a rank correlation gives ties the rank of the last',
        'genjax/metrics/similarity.py',
        '(np.cumsum(count) - (count - 1) / 2)[place]',
        'np.cumsum(count)[place]',
        'metrics/test_similarity.py::test_spearman_is_scipys_with_ties',
    ),
    # The launcher.
    Fault(
        'a combining mark ends its word',
        'genjax/data/text/tokenizers.py',
        r"""INNER = r'\B[a-z0-9"[^\x00-\x7F\p{Word_Break=ExtendNumLet}]]'""",
        r"""INNER = r'\B[a-z0-9"[^\x00-\x7F\p{Word_Break=ExtendNumLet}\p{M}]]'""",
        'data/text/test_tokenizers.py::test_marks_and_joiners_belong_to_their_words[NFC-Hindi]',
    ),
    Fault(
        'of a text of long sentences all may be held out',
        'genjax/data/text/corpus.py',
        'run = max(MIN_RUN, total / len(ends))',
        'run = MIN_RUN',
        'data/text/test_corpus.py::test_of_long_sentences_about_as_much_is_held_out[2000]',
    ),
    Fault(
        'a run goes on with other data than it began with',
        'launch/run/rundir.py',
        "if manifest and manifest['data'] != data:",
        "if manifest and manifest['data'] is None:",
        'launch/run/test_launch.py::test_refuses_the_directory_of_another_run',
    ),
    Fault(
        'the time left counts compiling',
        'genjax/training/progress.py',
        'first_call = step, now',
        'first_call = start, began',
        'training/test_report.py'
        '::test_the_time_left_is_of_the_steps_since_the_program_was_compiled[0]',
    ),
    Fault(
        'a negative zero makes another run',
        'launch/cli/overrides.py',
        'return 0.0 if isinstance(value, float) and value == 0 else value',
        'return value',
        'launch/cli/test_overrides.py::test_however_a_value_is_spelt_it_is_one_run[limit]',
    ),
    Fault(
        "what another sampler draws replaces the run's own pictures",
        'launch/run/inspection.py',
        'return write_samples(plan.workdir, step, values, below=below)',
        'return write_samples(plan.workdir, step, values)',
        'launch/run/test_other_samplers.py::test_another_sampler_draws_into_a_folder_of_its_own',
    ),
    Fault(
        "a sample's key is of its place in the batch",
        'genjax/training/generation.py',
        'number = group * batch + jnp.arange(batch)',
        'number = jnp.arange(batch)',
        'training/test_generation.py'
        '::test_a_sample_is_what_the_algorithm_makes_of_the_key_of_its_number',
    ),
    Fault(
        'the best checkpoint is the one of the highest loss',
        'genjax/training/checkpoint.py',
        'return min(reversed(values), key=values.get, default=None)',
        'return max(reversed(values), key=values.get, default=None)',
        'launch/run/test_saved.py'
        '::test_a_checkpoint_is_opened_by_name_and_nothing_is_written[run:best-2]',
    ),
    Fault(
        'samples go to a folder of others',
        'launch/run/note.py',
        'if there != here:',
        'if not there:',
        'launch/run/test_drawing.py'
        '::test_refuses_in_one_line_and_writes_nothing[--n=5 --out=drawn --sample_seed=1]',
    ),
    Fault(
        'a run whose rate decays over its length is made longer',
        'launch/run/planning.py',
        'if not take_same_steps(there, experiment, mesh=mesh, rules=rules):',
        'if not there:',
        'launch/run/test_longer.py::test_refuses_in_one_line_and_writes_nothing',
    ),
    Fault(
        'idle threads of XLA keep the one core that a worker has',
        'launch/run/processor.py',
        'cores() <= len(os.sched_getaffinity(0))',
        'cores() <= cores()',
        'launch/run/test_processor.py'
        '::test_a_launch_with_more_threads_than_cores_has_the_idle_ones_give_way',
    ),
)


def readme_row(fault: Fault) -> str:
    """The row of a fault in the table of tests/README.md."""
    return f'| {fault.description} | `{fault.file}` | `{fault.test}` |'


def copy_tree(root: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """Copies all files of a checkout that git does not ignore, as they are now."""
    command = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    for name in listed.stdout.split('\0'):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, to / name)
    return to


def run_tests(tree: pathlib.Path, tests: Iterable[str]) -> subprocess.CompletedProcess:
    """Runs tests of a tree by pytest, up to the first that fails.

    It leaves no bytecode and no cache behind, which the run of a later fault could read.
    """
    options = ['-n', '0', '-x', '--tb=no', '-rfE', '-p', 'no:cacheprovider']
    paths = [f'tests/{test}' for test in tests]
    environ = os.environ | {
        'PYTHONDONTWRITEBYTECODE': '1',
        'COLUMNS': '1000',  # so that pytest does not cut the reasons short
    }
    command = [sys.executable, '-m', 'pytest', *options, *paths]
    return subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True)


def inject(fault: Fault, text: str) -> str:
    """The text of a file with the fault in it.

    Raises:
      ValueError: the text has no place for it, or several.
    """
    count = text.count(fault.right)
    if count != 1:
        raise ValueError(
            f'{fault.file} has {fault.right!r} {count} times; '
            'a fault replaces what stands there once'
        )
    return text.replace(fault.right, fault.wrong)


def try_fault(tree: pathlib.Path, fault: Fault) -> tuple[bool, str]:
    """Whether the fault is caught, and the reason that pytest gives."""
    path = tree / fault.file
    original = path.read_text()
    path.write_text(inject(fault, original))
    try:
        finished = run_tests(tree, [fault.test])
    finally:
        path.write_text(original)

    if finished.returncode == 0:
        return False, 'the test passes'
    failure = re.search(r'^FAILED .+? - (.+)$', finished.stdout, re.MULTILINE)
    if finished.returncode != 1 or not failure:
        last_line = (finished.stdout + finished.stderr).strip().rpartition('\n')[2]
        return False, f'the test does not run: {last_line}'
    reason = failure[1]
    return reason.startswith(ASSERTIONS), reason


def report_fault(tree: pathlib.Path, fault: Fault) -> bool:
    """Tries a fault and prints a line about it; returns whether it is caught."""
    start = time.monotonic()
    caught, reason = try_fault(tree, fault)
    seconds = time.monotonic() - start
    outcome = 'caught' if caught else 'MISSED'
    print(
        f'{outcome} {seconds:4.0f} s  {fault.description}  {fault.test}: {reason:.100}', flush=True
    )
    return caught


def main(words: list[str]) -> int:
    """Tries the chosen faults; returns how many were not caught."""
    faults = [
        fault for fault in FAULTS if not words or any(word in fault.description for word in words)
    ]
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(ROOT, pathlib.Path(folder))
        sound = run_tests(tree, dict.fromkeys(fault.test for fault in faults))
        if sound.returncode:
            sys.exit(f'without any fault the tests do not pass:\n{sound.stdout}{sound.stderr}')
        caught = [report_fault(tree, fault) for fault in faults]
    print(f'{sum(caught)} of {len(caught)} faults were caught')
    return caught.count(False)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
