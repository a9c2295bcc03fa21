"""What lies in run directories, read and shown: tables and pages. Never imports jax.

reading, runs            run directories read, and what is derived from one
status                   the table in the terminal
page, sections, table    the page, its sections and the cells of its tables
groups, curves, plots    statistics over seeds, learning curves, and these drawn by Bokeh
pictures                 made small
"""
