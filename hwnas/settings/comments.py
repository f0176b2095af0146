"""What a config says of its keys, where the words of the program's own documentation are for programmers."""

from __future__ import annotations

from collections.abc import Mapping

_DEVICE = '"cpu", "cuda", or "auto": CUDA where there is one.'

COMMENTS: Mapping[str, Mapping[str, str]] = {
    "profile": {
        "precisions": 'Number formats that are measured: "int8" (quantised models), "fp32", or both; "16x8", '
        '"fp16", "bf16" and "tf32" where the runtimes have them.',
        "rounds": "How often everything is measured, spread over the whole run. At least 6 for an interval.",
        "max_rounds": "How often at most, where the interval is still wide; rounds where that is more.",
        "target_ci": "An interval of this share of the latency to either side is narrow enough (95 %).",
        "samples": "Timed samples in each round.",
        "min_sample_ms": "Fast models run several times a sample, so that each is at least this long.",
        "min_round_s": "Shortest time between two rounds: slow drifts must show in the intervals.",
        "warmup_min_ms": "Each model runs at least this long before it is timed.",
        "warmup_max_ms": "And at most this long, while its times still fall.",
        "calibration_networks": "Whole networks to measure beside the blocks, to fit the latency model to.",
        "heldout_networks": "Further whole networks, which the latency model does not see but is judged by.",
        "seed": "Picks those networks and the order of measuring.",
        "cpus": "Numbers of the CPUs to run on, as [4, 5]; the system chooses where this is not set.",
        "max_minutes": "Stop beginning rounds after so many minutes a runtime and precision; started again, "
        "the run goes on.",
        "pool": "Who makes the models to be measured: processes:N of this machine, or ray[://HOST:PORT] of a "
        "Ray cluster; empty is one process a CPU, at most four.",
        "silence_s": "A device that says nothing for so long is taken to hang.",
        "retry_failed": "Whether what could not be measured before is tried again.",
    },
    "search.supernet": {
        "width": "Channels of the supernet over those of the network: fewer train faster, judge less well.",
        "resolution": "Side of the supernet's images in pixels; half the real network's where it is not set.",
        "batch_size": "Images a training step; 64 where it is not set, around a trained network 32, or as "
        "many as the task adapts networks with; all images where there are fewer.",
        "learning_rate": "The highest learning rate of its training.",
        "momentum": "Momentum of its training.",
        "weight_decay": "Weight decay of its training.",
        "clip_norm": "Gradients are cut to this norm.",
        "crop": "Random crops: padding over the side of the image. 0 is off, and usually best here.",
        "release": "Share of the training after which all its networks are trained alike; before, it begins "
        "with one. As the depth of the space needs it where this is not set; 0 is from the beginning.",
        "recalibration_images": "Training images that batch norm is adjusted on for every network it judges.",
        "validation_images": "Validation images that every network is judged on, at most.",
        "class_weights": '"balanced": every class counts the same in its training, and networks are judged '
        'by balanced accuracy; "none": images count. Like class_weights in [train].',
        "block_score": "What the error of a candidate is, where candidates learn block by block: how far its "
        '"features" are from the teacher\'s, or the "loss" of the teacher with that one block replaced; '
        "where it is not set, features, and the loss where there is a decoder.",
        "layerwise": "Whether candidates of each block learn from the teacher alone, where candidates learn "
        "block by block: a pool can teach them then. Else they are now and then fed what others make.",
        "seed": "Where its randomness comes from; the seed at the top where it is not set.",
        "device": _DEVICE,
    },
    "search.settings": {
        "queries": "Networks that are scored.",
        "remeasure": "Share of the queries that score the best networks once more; worth it only where every "
        "network is trained by itself.",
        "population": "Networks that are alive at a time.",
        "tournament": "Networks of which the best becomes the parent of the next one.",
        "warmup_steps": "Training steps of the supernet before the search begins to choose.",
        "steps": "Search steps; each also trains the supernet once.",
        "gate_learning_rate": "How fast preferences for blocks change.",
        "loss": 'How latency counts: "hold" drives the expected latency to the budget; others are forms of '
        "papers, which an unknown name lists.",
        "finalists": "Networks that are compared at the end.",
        "least_use": "Share of the budget that those networks use at least, where they can.",
        "reduction": "Of so many networks one is trained on, so many times as long.",
        "rungs": "How often a training is lengthened, counting the first and the whole one.",
        "curvatures": "How often the search looks whether it settles where the loss is sharp; 0 for never.",
        "order": "1 takes weights as they are, 2 looks a step of them ahead, at three times the cost.",
        "temperature": "How evenly blocks are mixed at the beginning.",
        "temperature_floor": "And at the end; at least 0.1.",
        "candidate_steps": "Training steps of larger blocks beside a network, before some are put in.",
        "child_steps": "Training steps of each network that grew.",
        "changes": "Blocks that are put in at once, at most.",
        "shrinkage": "How hard what a larger block would add is pressed to nothing.",
        "hull_tolerance": "By what share the error of a network that grows may exceed the best at its cost.",
        "reward": 'How accuracy and latency are weighed: "soft", "hard" or "absolute" (MnasNet paper).',
        "weight": "How much latency counts in that; negative. The paper's where it is not set. In irlas, how "
        "much likeness to the expert counts beside accuracy.",
        "expert": 'Indices of the network whose structure is imitated, as "2.0.1", one a choice; where it is '
        "not set, that which all others of the space are versions of.",
        "batch": "Networks that are scored before the search learns from them.",
        "epochs": "How often it learns from each of those batches.",
        "replay": "Networks of the past that it learns from again after every score.",
        "shaped": "Whether every choice of a network is rewarded; else only the last (MetaQNN paper).",
        "levels": "Steps in which networks grow, from the cheapest one to complete ones.",
        "models": "Predictors whose mean says which networks are scored next.",
        "fit_steps": "Steps in which it learns after every batch; six times as many the first time.",
        "unscored": "Random networks that it learns to know besides; none is scored.",
        "trade_off": "How much the model learns what networks score; the rest is to know them again.",
        "learning_rate": "How fast it learns; in mnasnet that is at the beginning, and ten times as fast at "
        "the end. Where it is not set, as fast as the algorithm needs.",
        "algorithm": 'How the search learns: "ppo" (NASNet paper) or "reinforce" (NAS-RL paper).',
        "entropy": "How much the search is kept from deciding early. The paper's where it is not set.",
        "credit": 'What the search is rewarded for: the "gain" of a network over the one that it was '
        'changed from, or its "accuracy".',
        "form": 'How preferences learn: "gradient" or "reinforce" (see the ProxylessNAS paper).',
        "samples": "Networks that a step compares, learning by reinforcement.",
        "baseline_decay": "How slowly the mean follows that they are compared with; 0.5 to below 1.",
        "training_steps": "Training steps of the supernet.",
        "random": "Random networks that are scored first; the answers must beat them.",
        "apart": "Blocks in which each answer differs from those before it, while there are such answers.",
        "dropped": "Layers that an answer leaves out of a stage at most, while it can. As many as it likes "
        "where it is not set, but 1 where a trained network teaches.",
        "sampler": 'Strategy that searches in the trained supernet, for example "evolution".',
        "initial": "Random networks to begin with.",
        "pool": "Random networks that are looked at for each one that is scored, in large spaces.",
        "startup": "Random networks to begin with.",
        "move": 'To the "first" better neighbour of a network, or to the "best" of all its neighbours.',
        "ensemble": "Small predictors of accuracy that are trained side by side.",
        "explore": "Networks in each round that least is known about, as long as predictions are poor.",
        "exploit": "Networks in each round that are predicted to be best.",
        "tolerance": "Predictions are good enough where their squared error is at most this share of the "
        "variance of all scores.",
    },
    "promise": {
        "measure": "Whether the best networks of the search are measured on the device before one is "
        "trained, and replaced where they are too slow.",
        "rank": 'By which accuracy the best is chosen, "fp32" or "int8"; int8 where any budget is for int8, '
        "if not set.",
        "gallery_points": "Budgets over the whole range that `hwnas pick` can choose for later; 0 for none.",
        "gallery_each": "Networks that are scored for each of them.",
        "finalists": "Networks that are measured first.",
        "rounds": "How often further networks are tried, at most.",
        "batch": "Networks that are measured in each of those.",
        "scored": "Networks that are scored with the supernet for each of those, at most.",
        "slack": "Share of the budget that may stay unused.",
        "likely": "A network is only measured if its chance to keep the budget is at least this.",
        "sessions": "Independent sessions that the chosen network is measured in.",
        "most_sessions": "And at most, while it is not clear yet whether the budget is kept.",
        "tuned_epochs": "Around a trained network: epochs of tuning for the best network and its controls, "
        "before the better one is taken; 0 takes the best one untuned. Where it is not set 2, or as many as "
        "60 steps take.",
    },
    "train": {
        "epochs": "Passes over the training images; where it is not set, as many as 2,000 steps take, but 8 "
        "to 60; of a network that begins with learned weights, as many as 700 steps take, but 4 to 20 "
        "(segmenters 4 to 30; detectors 1,800 steps, 4 to 60).",
        "batch_size": "Images a step; where it is not set, 32 (segmenters 16, detectors 8), or all where "
        "there are fewer.",
        "learning_rate": "The highest learning rate; where it is not set, 0.1 (segmenters and detectors "
        "0.05), and with learned weights 0.02 (segmenters 0.03, detectors 0.1), for batches as where "
        "batch_size is not set: k times that for batches k times as large. LAMB has 0.4 of it, times the "
        "root of k.",
        "optimizer": '"sgd"; for batches of many hundreds "lars" or "lamb", whose steps are as long as the '
        "weights of a layer are.",
        "head_epochs": "Passes at the beginning in which only the last layer learns, where the others have "
        "learned weights; where it is not set, as many as 64 steps take (segmenters 78, detectors 120), but "
        "at most a third.",
        "layer_decay": "Learning rate of each block over that of the next; where it is not set, 1, and 0.95 "
        "with learned weights (detectors 1).",
        "freeze_share": "Share of the training, at its end, in which batch norms keep their statistics; "
        "where it is not set, 0, and 0.3 with learned weights.",
        "frozen_stride": "Where the last layer is new, blocks near the image whose features are no coarser "
        "than this share of it, as 4 for a fourth, stay as they are; 0 is none. Where it is not set 0, and 4 "
        "for detectors with learned weights.",
        "momentum": "Momentum of the optimiser.",
        "weight_decay": "Weight decay.",
        "warmup_share": "Share of the training in which the learning rate rises.",
        "label_smoothing": "Chance that the loss spreads over all classes.",
        "clip_norm": "Gradients are cut to this norm.",
        "augment": "Whether training images are cropped, mirrored and erased at all.",
        "crop": "Random crops: padding over the side of the image.",
        "flip": "Whether images are mirrored; as the data need it where this is not set (digits are not).",
        "erasing": "Chance that a rectangle of an image is blanked.",
        "mixup": "Strength of mixup, which blends two images; 0 is off.",
        "cutmix": "Strength of CutMix, which pastes one image into another; 0 is off.",
        "ema": "Decay of a running average of the weights, which then is what ships, as 0.999; 0 is off.",
        "distill_weight": "The teacher's share of the loss, where there is a teacher.",
        "temperature": "How much the answers of a teacher are softened.",
        "auxiliary": "Weight of auxiliary heads in the loss of a segmentation: features that the decoder "
        "reads answer for themselves, in training only, as 0.4; 0 is off.",
        "seed": "Where its randomness comes from; the seed at the top where it is not set.",
        "device": _DEVICE,
        "precision": 'What is computed in: "fp32", "bf16", or on CUDA "fp16"; "auto" is bf16 on CUDA and '
        "fp32 on a CPU. Weights are fp32 in any case.",
    },
    "export": {
        "calibration_images": "Training images that the ranges of int8 are taken from.",
        "licence": "Licence of your models, to be written into the manifest.",
        "qat_if_worse": "Fine-tune for int8 where int8 loses more than this on validation, as 0.01, a point "
        "of accuracy; never where it is not set.",
        "qat_epochs": "Passes of that fine-tuning.",
        "also": 'Further precisions of files, as "16x8", where a runtime has them.',
        "keep_int8_loss": "Points that int8 may lose on validation, as 0.5: as few layers as it takes stay "
        "in fp32; all are int8 where it is not set.",
        "keep_by": 'What chooses them: "ranking", "haq" or "mixed-dnas"; the last two take longer.',
        "layers": "Whether to tell what int8 does to each layer.",
    },
    "verify": {
        "rounds": "How often each model is measured; up to three times as often while the interval is wide.",
        "samples": "Timed samples in each round.",
        "min_round_s": "Shortest time between two rounds.",
    },
}
COMMENTS = {
    **COMMENTS,
    "baseline.settings": COMMENTS["search.settings"],
    "promise.measuring": COMMENTS["profile"],
}

UNUSED = {"promise.measuring": ("calibration_networks", "heldout_networks", "retry_failed")}
"""Keys that a section takes and does not need: a new config leaves them out."""


def comment(section: str, key: str, documented: str) -> str:
    """What is said of a key; what its class says where nobody said it for users."""
    return COMMENTS.get(section, {}).get(key) or documented.replace("``", "`")
