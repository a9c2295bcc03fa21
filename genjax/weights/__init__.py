"""Parameters by name: out of states and into them, in files, and as those of other libraries.

diffusers_unet  our U-Net as the UNet2DModel of diffusers, in a folder that it opens as a pipeline
files           safetensors
states          the weights of a state, and a state that begins with others'
"""
