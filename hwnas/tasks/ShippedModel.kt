// Android: LiteRT's CompiledModel, from implementation("com.google.ai.edge.litert:litert:2.3.0"), with
// model.int8.tflite and preprocessing.json in the app's assets. Compiled and run on the JVM, with stand-ins for
// Android and LiteRT; not on a phone.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONArray
import org.json.JSONObject
import kotlin.math.abs
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/** A model that ships, which reads pictures as preprocessing.json says. */
internal class ShippedModel(context: Context, file: String) : AutoCloseable {
    val how = JSONObject(context.assets.open("preprocessing.json").bufferedReader().use { it.readText() })
    val width = how.getJSONObject("resize").getInt("width")
    val height = how.getJSONObject("resize").getInt("height")
    private val classes = how.getJSONArray("classes").run { List(length()) { getJSONObject(it) } }
    val names: List<String> = classes.map { it.getString("name") }
    val colours: List<Int> = classes.map { each ->
        each.getJSONArray("colour").run { Color.rgb(getInt(0), getInt(1), getInt(2)) }
    }
    private val mean = how.getJSONArray("mean").doubles()
    private val std = how.getJSONArray("std").doubles()
    private val scale = how.getDouble("scale")
    private val quantization = how.getJSONObject("quantization").optJSONObject(file)
    private val model = CompiledModel.create(context.assets, file, CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    /** What it says of a picture: its outputs in turn, NHWC. */
    fun answers(picture: Bitmap): List<FloatArray> {
        val pixels = stretched(picture)
        fun value(i: Int) = (pixels[i] * scale - mean[i % 3]) / std[i % 3]
        val quantized = quantization?.optJSONObject("input")
        if (quantized == null) {
            inputs[0].writeFloat(FloatArray(pixels.size) { value(it).toFloat() })
        } else {
            val (step, zero) = quantized.getDouble("scale") to quantized.getInt("zero_point")
            inputs[0].writeInt8(ByteArray(pixels.size) {
                (round(value(it) / step).toInt() + zero).coerceIn(-128, 127).toByte()
            })
        }
        model.run(inputs, outputs)
        return outputs.indices.map(::output)
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }

    private fun output(number: Int): FloatArray {
        val quantized = quantization?.optJSONObject(if (number == 0) "output" else "output$number")
            ?: return outputs[number].readFloat()
        val (step, zero) = quantized.getDouble("scale").toFloat() to quantized.getInt("zero_point")
        val whole = outputs[number].readInt8()
        return FloatArray(whole.size) { (whole[it] - zero) * step }
    }

    /** Red, green and blue of each pixel of a picture on white, at the size that the model reads.
     *
     * A canvas would leave out most pixels of a large picture; training did not. */
    private fun stretched(picture: Bitmap): FloatArray {
        val (across, down) = Shares(picture.width, width) to Shares(picture.height, height)
        val stretched = FloatArray(3 * width * height)
        val (row, narrow) = IntArray(picture.width) to FloatArray(3 * width)
        for (y in 0 until picture.height) {
            picture.getPixels(row, 0, picture.width, 0, y, picture.width, 1)
            for (x in row.indices) row[x] = onWhite(row[x])
            for (i in narrow.indices) {
                val shift = 16 - 8 * (i % 3)
                narrow[i] = across.mixed(i / 3) { row[it] shr shift and 0xff }
            }
            for (to in 0 until height) {
                val share = down.of(y, to)
                if (share > 0) for (i in narrow.indices) stretched[to * narrow.size + i] += share * narrow[i]
            }
        }
        for (i in stretched.indices) stretched[i] = floor(stretched[i] + 0.5f)
        return stretched
    }

    private fun onWhite(pixel: Int): Int {
        val alpha = pixel ushr 24
        if (alpha == 255) return pixel
        fun of(shift: Int) = ((pixel shr shift and 0xff) * alpha + 255 * (255 - alpha) + 127) / 255
        return Color.rgb(of(16), of(8), of(0))
    }

    /** How much many values have of each of a few: a triangle around it, as wide as two of the few. */
    private class Shares(many: Int, few: Int) {
        private val wide = max(1.0, many.toDouble() / few)
        private val middles = DoubleArray(few) { (it + 0.5) * many / few }
        private val first = IntArray(few) { max(0, floor(middles[it] - wide + 0.5).toInt()) }
        private val shares = Array(few) { to ->
            val last = min(many, floor(middles[to] + wide + 0.5).toInt())
            val near = (first[to] until last).map { max(0.0, 1 - abs(it + 0.5 - middles[to]) / wide) }
            FloatArray(near.size) { (near[it] / near.sum()).toFloat() }
        }

        fun of(from: Int, to: Int) = shares[to].getOrElse(from - first[to]) { 0f }

        /** One of the few, in whole numbers as pictures have them. */
        inline fun mixed(to: Int, value: (Int) -> Int): Float {
            var sum = 0.5f
            for (i in shares[to].indices) sum += shares[to][i] * value(first[to] + i)
            return floor(sum)
        }
    }

    private fun JSONArray.doubles() = DoubleArray(length()) { getDouble(it) }
}
