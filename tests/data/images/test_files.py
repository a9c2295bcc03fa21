"""Folders, zip files and npz files as sequences of named images."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from genjax.data.images.files import open_files
from tests.data.images.own_images import snapshot, write_bad, write_mixed, write_npz, write_zip


def write(folder, *names, level=0):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('L', (2, 3), level).save(folder / name)


def labelled(files):
    """{name: name of its label}"""
    return {
        name: files.classes[label] for name, label in zip(files.names, files.labels, strict=True)
    }


def test_the_outermost_folders_are_the_labels(tmp_path):
    write(tmp_path, 'cat/b.png', 'cat/deep/a.png', 'ant/c.png')
    files = open_files(tmp_path)
    assert files.names == ('ant/c.png', 'cat/b.png', 'cat/deep/a.png')
    assert files.classes == ('ant', 'cat')
    assert labelled(files) == {'ant/c.png': 'ant', 'cat/b.png': 'cat', 'cat/deep/a.png': 'cat'}
    assert files.labels.dtype == np.int32


def test_below_train_and_test_the_labels_are_the_folders_within(tmp_path):
    write(tmp_path, 'train/cat/1.png', 'train/ant/2.png', 'val/cat/3.png')
    files = open_files(tmp_path)
    assert labelled(files) == {
        'train/ant/2.png': 'ant',
        'train/cat/1.png': 'cat',
        'val/cat/3.png': 'cat',
    }
    write(tmp_path, 'more/cat/4.png')
    assert open_files(tmp_path).unreadable == (
        f'{tmp_path}/more/cat/4.png lies in neither train nor val',
    )


def test_one_folder_is_no_label_and_stands_for_what_it_holds(tmp_path):
    write(tmp_path, 'all/1.png', 'all/2.png')
    files = open_files(tmp_path)
    assert files.names == ('1.png', '2.png')
    assert files.labels is None and files.classes == ()
    write(tmp_path, 'all/a/3.png', 'all/b/4.png')
    files = open_files(tmp_path)
    assert files.names == ('a/3.png', 'b/4.png')
    assert files.unreadable == tuple(
        f'{tmp_path}/all/{i}.png lies in none of the folders that are its label' for i in (1, 2)
    )


def test_the_labels_of_stylegan_and_edm(tmp_path):
    write(tmp_path, '00000/img0.png', '00000/img1.png', '00001/img2.png', '00001/img3.png')
    labels = [['00000/img0.png', 4], ['00000\\img1.png', 0], ['00001/img2.png', 1], ['gone.png', 2]]
    (tmp_path / 'dataset.json').write_text(json.dumps({'labels': labels}))
    for path in (tmp_path, write_zip(tmp_path, tmp_path.with_suffix('.zip'))):
        files = open_files(path)
        assert labelled(files) == {
            '00000/img0.png': '4',
            '00000/img1.png': '0',
            '00001/img2.png': '1',
        }
        assert files.classes == ('0', '1', '2', '3', '4')
        assert files.unreadable == (f'{path}/00001/img3.png has no label in dataset.json',)

    (tmp_path / 'dataset.json').write_text('{"labels": null}')
    files = open_files(tmp_path)
    assert len(files.names) == 4 and files.labels is None


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{}', '{"labels": 3}', '{"labels": [["a.png"]]}', '\xff', '{"labels": [[1, 2]]}'],
)
def test_another_dataset_json_is_refused(text, tmp_path):
    write(tmp_path, 'a.png')
    (tmp_path / 'dataset.json').write_text(text, 'latin1')
    with pytest.raises(ValueError, match=r'dataset.json is not {"labels": \[\["FILE", 3\], ...\]}'):
        open_files(tmp_path)


@pytest.mark.parametrize('label', [-1, 0.5, True, 'cat', 2**31, [0, 1]])
def test_labels_that_are_no_whole_numbers_are_refused(label, tmp_path):
    write(tmp_path, 'a.png')
    (tmp_path / 'dataset.json').write_text(json.dumps({'labels': [['a.png', label]]}))
    with pytest.raises(ValueError, match='gives a.png the label .*; labels are whole numbers'):
        open_files(tmp_path)


def test_what_systems_leave_is_left_out(tmp_path):
    write(tmp_path, 'a.png', '.b.png', '.git/c.png', '__MACOSX/._a.png')
    (tmp_path / '.DS_Store').write_text('x')
    (tmp_path / 'Thumbs.db').write_text('x')
    zipped = write_zip(tmp_path, tmp_path.with_suffix('.zip'))
    for path in (tmp_path, zipped):
        files = open_files(path)
        assert files.names == ('a.png',) and files.unreadable == ()


@pytest.mark.parametrize('below', ['', 'all/', 'all/of/them/'])
def test_a_zip_file_is_what_its_folder_is(below, tmp_path):
    names = write_mixed(tmp_path / 'folder', 20)
    folder = open_files(tmp_path / 'folder')
    zipped = open_files(write_zip(tmp_path / 'folder', tmp_path / 'a.zip', below))
    assert folder.names == zipped.names == tuple(names)
    assert folder.classes == zipped.classes
    np.testing.assert_array_equal(folder.labels, zipped.labels)
    for i in range(20):
        np.testing.assert_array_equal(folder.decoded(i), zipped.decoded(i))


def test_an_npz_file_is_what_its_folder_is(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 5, 5, 3), np.uint8)
    images[:3] = images[:3, :, :, :1]
    for i, image in enumerate(images):
        path = tmp_path / 'folder' / f'{"ab"[i % 2]}/{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    folder = open_files(tmp_path / 'folder')
    arrays = open_files(write_npz(tmp_path / 'folder', tmp_path / 'a.npz', 5))
    assert folder.names == arrays.names
    np.testing.assert_array_equal(folder.labels, arrays.labels)
    for i, name in enumerate(folder.names):
        number = int(name[2])
        expected = images[number][..., :1] if number < 3 else images[number]
        np.testing.assert_array_equal(folder.decoded(i), expected)
        np.testing.assert_array_equal(arrays.decoded(i), expected)


def test_links_are_followed_and_circles_are_named(tmp_path):
    write(tmp_path, 'elsewhere/1.png', 'set/2.png')
    (tmp_path / 'set' / 'more').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'set' / '3.png').symlink_to('2.png')
    (tmp_path / 'elsewhere' / 'up').symlink_to(tmp_path / 'set')
    (tmp_path / 'set' / 'gone.png').symlink_to('nowhere.png')
    files = open_files(tmp_path / 'set')
    assert files.names == ('2.png', '3.png', 'more/1.png')
    assert files.unreadable == (
        f'{tmp_path}/set/gone.png is a link to nothing',
        f'{tmp_path}/set/more/up is a link in a circle',
    )


def test_each_bad_file_has_its_line_and_nothing_changes(tmp_path):
    good = write_mixed(tmp_path / 'set', 12)
    bad = write_bad(tmp_path / 'set')
    before = snapshot(tmp_path)
    files = open_files(tmp_path / 'set')
    lines = list(files.unreadable)
    read = []
    for i, name in enumerate(files.names):
        try:
            files.decoded(i)
            read.append(name)
        except ValueError as error:
            lines.append(str(error))
    assert read == good
    assert len(bad) == len(lines) == 60
    for name in bad:
        (line,) = (line for line in lines if f'/{name} ' in line)
        assert '\n' not in line
    reasons = {line.partition('/kind 0/bad 0/')[2] for line in lines if '/bad 0/' in line}
    reasons = dict(reason.split(' ', 1) for reason in reasons)
    assert reasons['deep.png'] == 'has 16 bits a channel; at most 8 are read'
    assert reasons['animated.webp'] == 'has 2 frames; only files of one are read'
    assert reasons['empty.png'] == 'is empty'
    assert reasons['text.png'].startswith('is no sound file of PNG')
    assert reasons['circle'] == reasons['itself.png'] == 'is a link in a circle'
    assert reasons['\\xff\\xfe.png'] == 'has a name that is not UTF-8'
    assert reasons['clear.png'].startswith('has an alpha of ')
    assert reasons['cmyk.jpg'].startswith('has the mode CMYK')
    assert all('damaged' in reasons[f'truncated.{suffix}'] for suffix in ('png', 'jpg', 'webp'))
    assert snapshot(tmp_path) == before


class Unsaid(zipfile.ZipInfo):
    """An entry whose name is UTF-8, which it does not say."""

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.filename.encode(), self.flag_bits & ~0x800


@pytest.mark.parametrize('kind', [zipfile.ZipInfo, Unsaid])
def test_names_in_a_zip_file_are_those_of_the_folder(kind, tmp_path):
    write(tmp_path / 'set', 'é/1.png', '子/2.png')
    folder = open_files(tmp_path / 'set')
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for name in folder.names:
            archive.writestr(kind(name), (tmp_path / 'set' / name).read_bytes())
    zipped = open_files(tmp_path / 'a.zip')
    assert zipped.names == folder.names and zipped.classes == folder.classes
    np.testing.assert_array_equal(zipped.decoded(1), folder.decoded(1))


def test_a_damaged_entry_of_a_zip_file_has_its_line(tmp_path):
    write(tmp_path / 'set', 'a.png', 'b.png')
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for name in ('a.png', 'b.png'):
            archive.write(tmp_path / 'set' / name, name)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    files = open_files(path)
    with pytest.raises(ValueError, match='a.zip/a.png cannot be read: Bad CRC-32'):
        files.decoded(0)
    assert files.decoded(1).shape == (3, 2, 1)


def test_a_name_of_several_lines_is_one_line(tmp_path):
    (tmp_path / 'a\nb.png').touch()
    files = open_files(tmp_path)
    with pytest.raises(ValueError, match=r'^.*a\\nb.png. is empty$'):
        files.decoded(0)


def test_the_identity_changes_with_the_files(tmp_path):
    write(tmp_path / 'set', 'a.png', 'b.png')
    seen = {open_files(tmp_path / 'set').identity}
    assert open_files(tmp_path / 'set').identity in seen
    write(tmp_path / 'set', 'c.png')
    seen.add(open_files(tmp_path / 'set').identity)
    (tmp_path / 'set' / 'c.png').rename(tmp_path / 'set' / 'd.png')
    seen.add(open_files(tmp_path / 'set').identity)
    write(tmp_path / 'set', 'a.png', level=3)
    seen.add(open_files(tmp_path / 'set').identity)
    (tmp_path / 'set' / 'd.png').unlink()
    seen.add(open_files(tmp_path / 'set').identity)
    assert len(seen) == 5


def test_what_is_no_set_is_refused_in_one_line(tmp_path):
    for name, content, message in (
        ('gone', None, 'there is no folder, zip or npz file '),
        ('text.zip', b'no zip', 'is no folder, zip or npz file$'),
        ('empty.zip', b'PK\5\6' + bytes(18), 'holds no files$'),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            open_files(tmp_path / name)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='holds no files$'):
        open_files(tmp_path / 'empty')
