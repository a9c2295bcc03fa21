"""InceptionV3 with its published weights, by which the Frechet inception distance is defined.

inceptionv3  InceptionV3: the network
state_dict   read_arrays: named arrays of files of weights
weights      load_inception: the network with the weights of a file
"""
