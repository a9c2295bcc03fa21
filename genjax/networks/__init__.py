"""Networks: flax.linen modules, (params, x) -> y, without losses.

attention    attend, with a mask; rotate: rotary places
causal       CausalTransformer of tokens that are rows of numbers
classifier   Classifier: images to features and logits
conditions   Conditions: labels, a duration and what augmentation did, added to the time's features
conv         Conv: the convolution layer of every image network
convolution  convolve: lax's convolution, in quick forms on a CPU
dcgan        Generator, Discriminator of DCGAN
dropout      dropout, whose random bits are a hash of the place
finite       Atoms, Table: a generator and a discriminator on finitely many atoms
grids        GridEncoder, GridDecoder: images to tokens on a coarser grid, and back
group_norm   group_norm: group normalisation, activation and dropout in few passes
inception/   InceptionV3 with its published weights
labels       require_labels: labels are given exactly where a network has classes
log_weight   LogWeight: a weight of times that is learnt
mlp          MLP, WithScale
norms        BatchNorm
products     convolutions as matrix products
r3gan        Generator, Discriminator of R3GAN, without normalisation
resampling   images at twice or half their resolution
residual     ResidualNetwork of couplings, with weight normalisation
resnet       Generator, Discriminator of spectrally normalised GANs
song_unet    SongUNet: DDPM++ and NCSN++, as EDM trains them
spectral     Spectral: a layer whose kernel is divided by its spectral norm
timed_mlp    TimedMLP: an MLP that is given the condition by its sines
transformer  Transformer of symbols, causal or not as its mask says
trilinear    a trilinear form whose derivatives have codes of their own
unet         UNet of denoising diffusion
"""
