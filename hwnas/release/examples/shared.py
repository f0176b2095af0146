def opened(word):
    """The picture in a file, or in several joined by commas where the model reads them at once."""
    count = max(1, len(how["mean"]) // 3)
    paths = [word] if count == 1 else word.split(",")
    if len(paths) != count:
        sys.exit(f"the model must be given {count} pictures at once, joined by commas, but got {word}")
    return [upright(path) for path in paths]


def upright(path):
    """The picture in a file: upright, opaque, RGB."""
    try:
        with Image.open(path) as file:
            if file.mode == "F" or (file.mode == "I" and file.format not in ("PPM", "PNG")):
                sys.exit(f"a picture must have 8 or 16 bits a channel, but {path} has 32: convert it")
            picture = ImageOps.exif_transpose(file)
    except (OSError, SyntaxError) as error:  # Pillow's word for some broken PNG files is SyntaxError
        sys.exit(f"a picture must be readable, but {path} is not ({error}): give another, or get it again")
    if picture.mode.startswith("I"):  # 16 bits become 8
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    elif picture.has_transparency_data:  # on white
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")


def timed(given, rounds):
    """Milliseconds of each step, the median of what is given, one number a round; a first round warms up."""
    found = []
    for _ in range(rounds + 1):
        spent = []
        for pictures in given:
            at = [time.perf_counter()]
            values = prepared(pictures)
            at.append(time.perf_counter())
            outputs = run(values)
            at.append(time.perf_counter())
            read(answers(outputs), *pictures[0].size)
            at.append(time.perf_counter())
            spent.append(np.diff(at))
        found.append(1000 * np.median(spent, axis=0))
    steps = "preparing_ms", "network_ms", "reading_ms"
    return dict(zip(steps, np.transpose(found[1:]).tolist(), strict=True))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != chosen] or sys.exit(__doc__)
    if words[0] == "--time":
        if len(words) < 3 or not words[1].isdecimal() or int(words[1]) < 1:
            sys.exit(__doc__)
        print(json.dumps(timed([opened(word) for word in words[2:]], int(words[1]))))
    else:
        for word in words:
            pictures = opened(word)
            if len(words) > 1:
                print(f"{word}:")
            show(read(answers(run(prepared(pictures))), *pictures[0].size), pictures[0], word)
