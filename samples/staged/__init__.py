"""The workshop behind samples/make.py: one staged minute, seen and heard from four places.

plan      who is where and when, in metres and seconds
optics    pinhole cameras, noise textures, tone curve, fonts
scenery   the street at dusk: ground, facades, lamp light
layers    trees, bench, lamp posts: what figures can pass behind
looks     what figures wear
people    articulated figures, drawn as textured and shaded limbs
traffic   the minibus and the passing cars
emblems   invented unit patches, the shields that carry them, the demo gallery
stage     who is where, doing what; how a camera sees all of it
views     cameras at work: the fixed view, the hand-held phones, the unrelated clip
sound     sources in a shared sound field, heard by each phone in its own way
media     encoding, cutting, re-uploading
jobs      one clip each, for a process of its own
record    truth.json and incident.toml
"""
