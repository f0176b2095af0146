// Android: LiteRT's CompiledModel, from implementation("com.google.ai.edge.litert:litert:2.3.0"), with
// model.int8.tflite and preprocessing.json in the app's assets. It follows the documentation of LiteRT; it was
// not compiled or run where it was written.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Rect
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONArray
import org.json.JSONObject
import kotlin.math.floor
import kotlin.math.min
import kotlin.math.roundToInt

/** Takes every pixel of pictures for a class. Make one and keep it; close it in the end. */
class Segmenter(context: Context, private val file: String = "model.int8.tflite") : AutoCloseable {
    private val how = JSONObject(context.assets.open("preprocessing.json").bufferedReader().use { it.readText() })
    private val width = how.getJSONObject("resize").getInt("width")
    private val height = how.getJSONObject("resize").getInt("height")
    private val mean = how.getJSONArray("mean").floats()
    private val std = how.getJSONArray("std").floats()
    private val scale = how.getDouble("scale").toFloat()
    private val classes = how.getJSONArray("classes").run { List(length()) { getJSONObject(it) } }
    private val model = CompiledModel.create(context.assets, file, CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    /** Names of the classes, by their numbers in a mask. */
    val names: List<String> = classes.map { it.getString("name") }

    private val colours = classes.map { each ->
        each.getJSONArray("colour").let { Color.rgb(it.getInt(0), it.getInt(1), it.getInt(2)) }
    }

    /** The class of every place of a picture, row by row, at as many places as are asked for.
     *
     * picture: from ImageDecoder with ALLOCATOR_SOFTWARE, which turns it upright as EXIF says. */
    fun mask(picture: Bitmap, columns: Int = width, rows: Int = height): ByteArray {
        val answers = answers(stretched(picture))
        val (high, wide) = places(answers.size)
        val (down, across) = Steps(rows, high) to Steps(columns, wide)
        val found = ByteArray(rows * columns)
        for (y in 0 until rows) for (x in 0 until columns) {
            val above = down.low[y] * wide
            val below = down.high[y] * wide
            var best = Float.NEGATIVE_INFINITY
            for (of in classes.indices) {
                fun logit(place: Int) = answers[place * classes.size + of]  // NHWC
                val first = mixed(logit(above + across.low[x]), logit(above + across.high[x]), across.share[x])
                val second = mixed(logit(below + across.low[x]), logit(below + across.high[x]), across.share[x])
                val seen = mixed(first, second, down.share[y])
                if (seen > best) {
                    best = seen
                    found[y * columns + x] = of.toByte()
                }
            }
        }
        return found
    }

    /** A mask in the colours of its classes. */
    fun drawn(mask: ByteArray, columns: Int = width, rows: Int = height): Bitmap {
        val pixels = IntArray(mask.size) { colours[mask[it].toInt() and 0xff] }
        return Bitmap.createBitmap(pixels, columns, rows, Bitmap.Config.ARGB_8888)
    }

    override fun close() = model.close()

    private fun stretched(picture: Bitmap): FloatArray {
        val small = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        Canvas(small).apply {
            drawColor(Color.WHITE)  // what is transparent is white, as in training
            val whole = Rect(0, 0, small.width, small.height)
            drawBitmap(picture, null, whole, Paint(Paint.FILTER_BITMAP_FLAG))
        }
        val pixels = IntArray(width * height).also { small.getPixels(it, 0, width, 0, 0, width, height) }
        return FloatArray(3 * pixels.size) { i ->  // NHWC, RGB
            val channel = i % 3
            ((pixels[i / 3] shr (16 - 8 * channel) and 0xff) * scale - mean[channel]) / std[channel]
        }
    }

    private fun answers(image: FloatArray): FloatArray {
        val quantized = how.getJSONObject("quantization").optJSONObject(file)?.getJSONObject("input")
        if (quantized == null) {
            inputs[0].writeFloat(image)
            model.run(inputs, outputs)
            return outputs[0].readFloat()
        }
        val (step, zero) = quantized.getDouble("scale") to quantized.getInt("zero_point")
        inputs[0].writeInt8(ByteArray(image.size) {
            ((image[it] / step).roundToInt() + zero).coerceIn(-128, 127).toByte()
        })
        model.run(inputs, outputs)
        val whole = outputs[0].readInt8()
        return FloatArray(whole.size) { whole[it].toFloat() }  // the order is all that is needed
    }

    /** Rows and columns of logits: as high to wide as what the model reads. */
    private fun places(values: Int): Pair<Int, Int> {
        val factor = Math.sqrt(width.toDouble() * height * classes.size / values).roundToInt()
        return height / factor to width / factor
    }

    /** Where each of many places lies between a few: bilinear, half-pixel centres. */
    private class Steps(many: Int, few: Int) {
        private val at = FloatArray(many) { ((it + 0.5f) * few / many - 0.5f).coerceIn(0f, few - 1f) }
        val low = IntArray(many) { floor(at[it]).toInt() }
        val high = IntArray(many) { min(low[it] + 1, few - 1) }
        val share = FloatArray(many) { at[it] - low[it] }
    }

    private fun mixed(first: Float, second: Float, share: Float) = first * (1 - share) + second * share

    private fun JSONArray.floats() = FloatArray(length()) { getDouble(it).toFloat() }
}
