"""The careful loader's own rules; hostile files as such are in test_attacks.py."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx.helper import make_node
from typer.testing import CliRunner

from vae_augment import load
from vae_augment.cli import app
from vae_augment.errors import InputError, ModelFormatError, NotFoundError, UnsafeModelError
from vae_augment.model.file import MAX_BATCH, read_model
from vae_augment.model.file.cost import check_cost
from vae_augment.model.file.structure import check_structure
from vae_augment.model.sessions import open_session, run_session


def test_an_unknown_name_says_what_there_is(tmp_path: Path):
    with pytest.raises(NotFoundError) as caught:
        load("minst")
    assert str(caught.value) == (
        "There is no model 'minst': it is neither a bundled name (mnist, fashion-mnist, devanagari, "
        "bloodmnist, breastmnist, glyphs, strokes, objects) nor an existing file. Did you mean 'mnist'? Make a file with: vae-augment export "
        "CHECKPOINT -o model.onnx"
    )


def test_parts_compute_what_the_whole_does(tiny_model_path: Path):
    file = read_model(tiny_model_path)
    for part in ("encoder", "decoder"):
        onnx.checker.check_model(onnx.load_from_string(file.part(part)), full_check=True)
    assert file.part("whole") == tiny_model_path.read_bytes()


def test_no_path_of_the_machine_is_in_the_file(tiny_model_path: Path):
    content = tiny_model_path.read_bytes()
    for word in (b".py", b"/home", b"/tmp", str(Path.cwd()).encode()):
        assert word not in content


def test_allow_ops_lets_a_known_operator_through(bare_model_path: Path, tmp_path: Path):
    model = onnx.load(bare_model_path)
    for node in model.graph.node:
        node.input[:] = ["rounded" if name == "noise" else name for name in node.input]
    model.graph.node.insert(0, make_node("Round", ["noise"], ["rounded"]))
    path = tmp_path / "round.onnx"
    onnx.save(model, path)
    with pytest.raises(UnsafeModelError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path} was refused. It uses the operator 'Round', which is not on the list of allowed "
        "ones. If you trust the file's origin, pass allow_ops."
    )
    load(path, allow_ops=["Round"]).probe()


def test_shapes_computed_from_shapes_are_followed():
    """What `x.reshape(x.shape[0], -1)` of other exporters turns into."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[batch,1,8,8] image) => (float[batch,64] rows) {
            shape = Shape (image)
            zero = Constant <value = int64 {0}> ()
            batch = Gather (shape, zero)
            axes = Constant <value = int64[1] {0}> ()
            first = Unsqueeze (batch, axes)
            rest = Constant <value = int64[1] {-1}> ()
            target = Concat <axis = 0> (first, rest)
            rows = Reshape (image, target)
        }""")
    check_cost(model)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 63
    with pytest.raises(
        ModelFormatError, match=r"rows is made with the shape \[2, 64\], but declared as \[2, 63\]"
    ):
        check_cost(model)


def test_a_shape_from_the_data_is_refused():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[batch,4] noise) => (float[batch,4] rows) {
            sizes = Cast <to = 7> (noise)
            flat = Flatten <axis = 0> (sizes)
            axes = Constant <value = int64[1] {0}> ()
            target = Squeeze (flat, axes)
            rows = Reshape (noise, target)
        }""")
    with pytest.raises(UnsafeModelError, match="what Reshape makes cannot be known before it runs"):
        check_cost(model)


def test_weights_and_metadata_may_be_long_but_nothing_else(tiny_model_path: Path):
    model = onnx.load(tiny_model_path)
    tensor = onnx.numpy_helper.from_array(onnx.numpy_helper.np.zeros(1 << 20, "float32"), "large")
    model.graph.initializer.append(tensor)
    check_structure(model.SerializeToString())
    model.graph.doc_string = "x" * (1 << 20)
    with pytest.raises(
        UnsafeModelError, match="More than 1048576 bytes are neither weights nor metadata"
    ):
        check_structure(model.SerializeToString())


def test_info_shows_the_verdict(tiny_model_path: Path, tmp_path: Path):
    good = CliRunner().invoke(app, ["info", str(tiny_model_path), "--check"])
    assert good.exit_code == 0
    assert good.output.splitlines()[-1].startswith(
        "check       passed: structure, operators, tensors, names"
    )
    (tmp_path / "broken.onnx").write_bytes(tiny_model_path.read_bytes()[:-100])
    bad = CliRunner().invoke(app, ["info", str(tmp_path / "broken.onnx"), "--check"])
    assert bad.exit_code == 1
    assert bad.output == (
        f"error: {tmp_path / 'broken.onnx'} was refused. It is not a readable ONNX file (it ends "
        "early). Copy or export it again.\n"
    )


def test_info_compares_a_digest(tiny_model_path: Path):
    bad = CliRunner().invoke(app, ["info", str(tiny_model_path), "--sha256", "0" * 64])
    assert bad.exit_code == 1
    assert "it is not the file that was meant" in bad.output


def test_denormal_numbers_are_zero_inside_a_run_and_nowhere_else():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[batch,4] x) => (float[batch,4] y) { y = Add (x, x) }""")
    tiny = torch.full((1, 4), 1e-41)
    smallest = 5e-324
    for threads in (1, 2):
        session = open_session(
            model.SerializeToString(), ["CPUExecutionProvider"], threads, strict=True
        )
        assert smallest * 1.0 > 0
        assert run_session(session, {"x": tiny}, {"y": (4,)})[0].tolist() == [[0.0] * 4]
        assert smallest * 1.0 > 0
        assert (tiny * 2).min() > 0
    torch.set_flush_denormal(True)
    run_session(session, {"x": tiny}, {"y": (4,)})
    assert smallest * 1.0 == 0, "the caller's own choice stays"
    torch.set_flush_denormal(False)


def test_errors_show_control_characters_escaped():
    assert (
        str(ModelFormatError("class \x1b]0;owned\x07 of\na file"))
        == r"class \x1b]0;owned\x07 of" + "\na file"
    )


def test_onnxruntime_writes_nothing_of_a_file_to_the_terminal(
    bare_model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture
):
    model = onnx.load(bare_model_path)
    for node in model.graph.node:
        node.input[:] = ["taken" if name == "noise" else name for name in node.input]
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(onnx.numpy_helper.np.full(20, 20), "outside")
    )
    model.graph.node.insert(
        0, make_node("Gather", ["noise", "outside"], ["taken"], axis=1, name="named by a stranger")
    )
    onnx.save(model, tmp_path / "gather.onnx")
    with pytest.raises(ModelFormatError, match="named by a stranger"):
        load(tmp_path / "gather.onnx", provider="cpu").probe()
    assert capfd.readouterr().err == ""


def test_a_batch_that_was_not_checked_is_refused(bare_model_path: Path):
    model = load(bare_model_path, provider="cpu")
    inputs = {"latent": torch.zeros(1, 20).expand(MAX_BATCH + 1, 20), **model.label_input(None, 1)}
    with pytest.raises(
        InputError,
        match="1048584 images are given at once; the model was checked for at most 1048583",
    ):
        model.run("decoder", inputs)


SHAPED = """<ir_version: 8, opset_import: ["": 18]>
g (float[batch,1,8,8] image) => (float[batch,64] rows) {{
    shape = Shape (image)
    zero = Constant <value = int64 {{0}}> ()
    one = Constant <value = int64[1] {{1}}> ()
    first = Constant <value = int64[1] {{0}}> ()
    rest = Constant <value = int64[1] {{-1}}> ()
    size = Constant <value = int64[1] {{64}}> ()
    ten = Constant <value = int64[1] {{10}}> ()
    batch = Gather (shape, first)
    {body}
}}"""


@pytest.mark.parametrize(
    "body",
    [
        "target = Concat <axis = 0> (batch, rest) rows = Reshape (image, target)",
        "numbers = Mul (batch, size) back = Div (numbers, size) target = Concat <axis = 0> (back, "
        "size) rows = Reshape (image, target)",
        "four = Constant <value = int64[2] {8, 8}> () head = Slice (shape, first, one) channel = "
        "Slice (shape, one, size, first) start = Concat <axis = 0> (head, one) all = Concat <axis "
        "= 0> (start, four) same = Resize <mode = \"nearest\"> (image, , , all) rows = Flatten "
        "(same)",
        "part = Slice (image, first, ten, one) rows = Flatten (part)",
    ],
)  # fmt: skip
def test_shapes_that_are_linear_in_the_batch_pass(body: str):
    check_cost(onnx.parser.parse_model(SHAPED.format(body=body)))


@pytest.mark.parametrize(
    "body",
    [
        "flat = Flatten (image) part = Slice (flat, first, ten, first) other = Slice (flat, ten, "
        "size, first) rows = Concat <axis = 0> (part, other)",
        "square = Mul (batch, batch) ratio = Div (square, batch) target = Concat <axis = 0> "
        "(ratio, rest) rows = Reshape (image, target)",
        "is = Equal (batch, ten) as = Cast <to = 7> (is) many = Add (batch, as) target = Concat "
        "<axis = 0> (many, rest) rows = Reshape (image, target)",
        "less = Sub (batch, ten) is = Cast <to = 9> (less) as = Cast <to = 7> (is) rows = Flatten "
        "(image)",
        "less = Sub (batch, ten) real = Cast <to = 1> (less) tiny = Constant <value = float "
        "{2e-38}> () peak = Div (tiny, real) as = Cast <to = 7> (peak) rows = Flatten (image)",
        "less = Add (batch, ten) ratio = Div (one, less) rows = Flatten (image)",
        "scales = Constant <value = float[4] {0.5, 1.0, 1.0, 1.0}> () "
        "half = Resize <mode = \"nearest\"> (image, , scales) rows = Flatten (image)",
        "table = Constant <value = int64[8] {1, 1, 1, 9, 9, 1, 1, 1}> () picked = Gather (table, "
        "batch) rows = Flatten (image)",
        "large = Constant <value = int64[1] {4611686018427387904}> () more = Mul (batch, large) "
        "rows = Flatten (image)",
        "less = Sub (batch, ten) square = Mul (less, less) rows = Flatten (image)",
    ],
)  # fmt: skip
def test_shapes_that_are_not_linear_in_the_batch_are_refused(body: str):
    with pytest.raises(ModelFormatError):
        check_cost(onnx.parser.parse_model(SHAPED.format(body=body)))


def test_info_shows_the_unit_of_strength(tiny_model_path: Path, bare_model_path: Path):
    unit = load(tiny_model_path).spec.strength_unit
    shown = CliRunner().invoke(app, ["info", str(tiny_model_path)]).output
    assert f"strength    strength 1 is {unit} spreads of the posterior" in shown
    assert "strength 1" not in CliRunner().invoke(app, ["info", str(bare_model_path)]).output
